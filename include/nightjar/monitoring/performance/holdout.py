"""Metrics of a version on its own holdout, from the gate's event in the ledger.

They are read from the lake, so that nights are judged even when MLflow is down.
"""

from __future__ import annotations

from collections.abc import Mapping

from nightjar.evaluation.verdict import prefix_of
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.monitoring.performance.metrics import METRICS


def read_holdout_metrics(lake: Lake, use_case: str) -> dict[str, dict[str, float]]:
    """Return the holdout metrics by version; a version without a gate event has none."""
    by_version: dict[str, dict[str, float]] = {}
    for details in ledger.read_details(lake, event="gate", use_case=use_case):
        with ledger.reading_details():
            for name, candidate in details.get("candidates", {}).items():
                figures = _of_candidate(details.get("metrics", {}), prefix_of(name))
                if figures:
                    by_version[str(candidate["version"])] = figures  # the latest gate event wins
    return by_version


def _of_candidate(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    figures = {metric: metrics[prefix + metric] for metric in METRICS if prefix + metric in metrics}
    if metrics.get(f"{prefix}rows"):
        figures["label_rate"] = metrics[f"{prefix}positives"] / metrics[f"{prefix}rows"]
    return figures
