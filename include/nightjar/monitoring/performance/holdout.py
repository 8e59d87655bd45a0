"""A version's figures on its own holdout, from the ledger: the gate has written there what it judged by.

Read in the lake, so that a night is judged also while MLflow does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from nightjar.evaluation.verdict import prefix_of
from nightjar.lake import ledger
from nightjar.monitoring.performance.metrics import METRICS


def holdout_metrics(lake: str, use_case: str) -> dict[str, dict[str, float]]:
    """Version to its holdout's figures by metric; of a version that no gate has judged there are none."""
    found: dict[str, dict[str, float]] = {}
    for details in ledger.read_details(lake, event="gate", use_case=use_case):
        with ledger.reading_details():
            for name, said in details.get("candidates", {}).items():
                figures = _of_candidate(details.get("metrics", {}), prefix_of(name))
                if figures:
                    found[str(said["version"])] = figures  # the last gate that looked has the last word
    return found


def _of_candidate(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    figures = {metric: metrics[prefix + metric] for metric in METRICS if prefix + metric in metrics}
    if metrics.get(f"{prefix}rows"):
        figures["label_rate"] = metrics[f"{prefix}positives"] / metrics[f"{prefix}rows"]
    return figures
