"""What is wrong with a judged night: pure, from its rows to findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from nightjar.contracts.use_case import UseCase
from nightjar.monitoring.findings import Finding

CLEAR_AUC = 0.05
"""An AUC is clearly below the holdout's when its whole interval is, by more than this: a night is one spell of weather,
and its AUC differs from the next night's by more than its interval says."""
AGAINST_BASELINE = ("log_loss", "brier", "expected_cost")
"""Metrics that a constant may beat, less being better. Their level moves with the night's label rate, so they are
compared with the constant on the same rows, and not with the holdout's figures."""
CLEAR_SHARE = 0.02
"""The constant is clearly better when the whole interval of the difference lies above this share of its own figure."""
RUNBOOK = "docs/runbooks/performance.md"


def findings_of(rows: Sequence[Mapping[str, Any]], use_case: UseCase, *, night: date, link: str) -> list[Finding]:
    """The findings of one judged night, breaches first.

    Args:
        rows: Rows of ``monitoring/performance`` of all rows of the night, by any order; those that are not judged say
            nothing.
        use_case: Says the floor, where it declares one.
        night: The night that has judged.
        link: The page that shows it.
    """
    by_metric = {row["metric"]: row for row in rows if row["verdict"] == "judged" and not row["slice"]}
    found: list[Finding] = []

    def add(metric: str, subject: str, what: str, severity: Any, badness: float) -> None:
        found.append(
            Finding(
                kind="performance",
                subject=f"{use_case.name} {metric} {subject}",
                night=night,
                what=f"scores of {by_metric[metric]['ds']}: {what}",
                severity=severity,
                badness=badness,
                link=link,
                runbook=RUNBOOK,
            )
        )

    floor = use_case.retraining.min_auc if use_case.retraining else None
    if auc := by_metric.get("auc"):
        of = f"the AUC is {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
        if floor is not None and auc["high"] < floor:
            badness = (1 - auc["value"]) / (1 - floor)
            add("auc", "below the floor", f"{of}, all of it below the floor of {floor:g}", "breach", badness)
        if auc["holdout"] is not None and auc["high"] < auc["holdout"] - CLEAR_AUC:
            badness = (1 - auc["value"]) / (1 - auc["holdout"] + CLEAR_AUC)
            what = f"{of}, more than {CLEAR_AUC:g} below the {auc['holdout']:.3f} of the holdout"
            add("auc", "below the holdout", what, "warn", badness)
        if auc["high"] < 0.5:
            add("auc", "below chance", f"{of}, worse than chance", "warn", (1 - auc["value"]) / 0.5)
    for metric in AGAINST_BASELINE:
        row = by_metric.get(metric)
        if row and row["excess_low"] is not None and row["excess_low"] > CLEAR_SHARE * row["baseline"]:
            what = (
                f"the {metric.replace('_', ' ')} is {row['value']:.3g}, and a constant prediction would have got "
                f"{row['baseline']:.3g}"
            )
            add(metric, "above the baseline", what, "warn", row["value"] / row["baseline"])
    return found
