"""Metrics of a version on its own holdout, from the gate's event in the ledger.

They are read from the lake, so that nights are judged even when MLflow is down.
"""

from __future__ import annotations

from nightjar.evaluation.verdict import prefix_of
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.monitoring.performance.problem import PerformanceProblem


def read_holdout_metrics(lake: Lake, use_case: str, problem: PerformanceProblem) -> dict[str, dict[str, float]]:
    """Return the holdout metrics by version; a version without a gate event has none."""
    by_version: dict[str, dict[str, float]] = {}
    for details in ledger.read_details(lake, event="gate", use_case=use_case):
        with ledger.reading_details():
            for name, candidate in details.get("candidates", {}).items():
                figures = problem.holdout_metrics(details.get("metrics", {}), prefix_of(name))
                if figures:
                    by_version[str(candidate["version"])] = figures  # the latest gate event wins
    return by_version
