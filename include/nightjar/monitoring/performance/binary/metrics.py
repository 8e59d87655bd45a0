"""Metrics of labelled probabilities, with confidence intervals and against a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from nightjar.declaration.problem import Binary, Cost
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.binary.calibration import calibration_error, group_rows
from nightjar.monitoring.performance.binary.summary import NEGATIVE, POSITIVE, Summary
from nightjar.monitoring.performance.comparisons import against_kinds, bounded, mean_of_groups, mean_of_kinds
from nightjar.monitoring.performance.problem import NO_DECISION, NO_LABELS, Measured, Ratio

METRICS = (
    "auc", "pr_auc", "log_loss", "brier", "calibration_error", "expected_cost", "precision", "recall", "label_rate",
)  # fmt: skip
"""All metrics in display order; ``label_rate`` is the share of positives."""
_SCORES = (("log_loss", "loss"), ("brier", "error"))
"""Metric that is a mean of rows, and the name of its sums."""
RANKING_METRICS = ("auc", "pr_auc")
"""Metrics of the order of the predictions; they need rows of both classes."""
ONE_CLASS = "all labels are equal, so ranks cannot be judged"
NO_ALARMS = "no labelled row was an alarm"


def metrics_of(declared: Binary) -> list[str]:
    """Return the metrics of a problem: the cost only with costs, precision and recall only with a rule of alarms."""
    left_out = set() if declared.cost else {"expected_cost"}
    left_out |= set() if declared.alarms else {"precision", "recall"}
    return [metric for metric in METRICS if metric not in left_out]


def measure(
    summary: Summary, *, confidence: float, declared: Binary, baseline_rate: float | None
) -> dict[str, Measured]:
    """Measure every metric of :func:`metrics_of`.

    Args:
        summary: Summary of the rows.
        confidence: Confidence level of the intervals.
        declared: Costs of errors, and how predictions become alarms.
        baseline_rate: Prediction of the baseline: the label rate of earlier nights, as known when the rows were scored.
    """
    wanted, cost = metrics_of(declared), declared.cost
    if not summary.labelled:
        return {metric: Measured(reason=NO_LABELS) for metric in wanted}
    measured = {**_ranking_metrics(summary, confidence), **_proper_scores(summary, confidence, baseline_rate)}
    distance = None if baseline_rate is None else abs(baseline_rate - summary.positives / summary.labelled)
    measured["calibration_error"] = Measured(
        interval=calibration_error(group_rows(summary, confidence), confidence), baseline=distance
    )
    measured["label_rate"] = Measured(
        interval=intervals.share(summary.positives, summary.labelled, confidence), baseline=baseline_rate
    )
    if cost:
        measured["expected_cost"] = _cost(summary, confidence, cost, baseline_rate)
    if declared.alarms:
        measured |= _alarms(summary, confidence)
    return {metric: bounded(measured[metric], 0.0, upper_bound(metric, cost)) for metric in wanted}


def ratios(summary: Summary, declared: Binary, baseline_rate: float | None) -> dict[str, Ratio]:
    """Return the metrics that are ratios of sums over rows, with bounds and the baseline's sums."""
    rows, cost = summary.labelled, declared.cost
    found: dict[str, Ratio] = {}
    by_label = (summary.negatives, summary.positives)
    if rows:
        constants = _baseline_losses(baseline_rate)
        for metric, name in _SCORES:
            total, high = sum(summary.sum(f"{name}_{label}") for label in (0, 1)), upper_bound(metric, cost)
            losses = constants[metric]
            excess = None if losses is None else total - sum(n * c for n, c in zip(by_label, losses, strict=True))
            found[metric] = Ratio(total=total, size=rows, excess=excess, high=high)
        found["label_rate"] = Ratio(total=summary.positives, size=rows, high=1.0)
    false, hits, silent, missed = _decisions(summary)
    if cost and (decided := false + hits + silent + missed):
        total = cost.false_alarm * false + cost.missed * missed
        excess = None
        if baseline_rate is not None:
            alarms = baseline_rate >= cost.threshold
            excess = total - (cost.false_alarm * (false + silent) if alarms else cost.missed * (hits + missed))
        found["expected_cost"] = Ratio(
            total=total, size=decided, excess=excess, high=upper_bound("expected_cost", cost)
        )
    if declared.alarms and false + hits:
        found["precision"] = Ratio(total=hits, size=false + hits, high=1.0)
    if declared.alarms and hits + missed:
        found["recall"] = Ratio(total=hits, size=hits + missed, high=1.0)
    return found


def upper_bound(metric: str, cost: Cost | None) -> float:
    """Return the largest possible value of a metric; the smallest is 0."""
    if metric in ("label_rate", "precision", "recall"):
        return 1.0
    if metric == "expected_cost" and cost:
        return max(cost.missed, cost.false_alarm)
    return Binary().metrics[metric].high


def tie_error(summary: Summary) -> float:
    """Return the maximum effect of binning on the AUC: half the share of (positive, negative) pairs in one bin."""
    pairs = summary.negatives * summary.positives
    tied = (summary.counts[NEGATIVE].astype(np.float64) * summary.counts[POSITIVE]).sum()
    return float(tied / pairs / 2) if pairs else 0.0


def _ranking_metrics(summary: Summary, confidence: float) -> dict[str, Measured]:
    negatives, positives = summary.counts[NEGATIVE], summary.counts[POSITIVE]
    if not summary.negatives or not summary.positives:
        return {metric: Measured(reason=ONE_CLASS) for metric in RANKING_METRICS}
    area = intervals.delong(negatives, positives, confidence)
    ranked = intervals.average_precision(negatives.astype(np.float64), positives.astype(np.float64))
    precision = intervals.jackknife(ranked, negatives, positives, confidence)
    rate = summary.positives / summary.labelled  # a constant prediction flags all rows or none
    return {
        "auc": Measured(interval=area, baseline=0.5, excess=area.shifted(0.5)),
        "pr_auc": Measured(interval=precision, baseline=rate, excess=precision.shifted(rate)),
    }


def _proper_scores(summary: Summary, confidence: float, baseline_rate: float | None) -> dict[str, Measured]:
    """Measure log loss and Brier score, and their differences from the baseline, row by row."""
    constants = _baseline_losses(baseline_rate)
    return {metric: _mean_of_rows(summary, name, confidence, constants[metric]) for metric, name in _SCORES}


def _baseline_losses(baseline_rate: float | None) -> Mapping[str, tuple[float, float] | None]:
    """Return the loss of a negative and of a positive row when the prediction is always the baseline's."""
    if baseline_rate is None:
        return {"log_loss": None, "brier": None}
    p = min(max(baseline_rate, 1e-12), 1 - 1e-12)
    return {
        "log_loss": (-math.log1p(-p), -math.log(p)),
        "brier": (baseline_rate**2, (1 - baseline_rate) ** 2),
    }


def _mean_of_rows(summary: Summary, name: str, confidence: float, constant: tuple[float, float] | None) -> Measured:
    totals = [summary.sum(f"{name}_{label}") for label in (0, 1)]
    squares = [summary.sum(f"{name}_squares_{label}") for label in (0, 1)]
    return mean_of_groups((summary.negatives, summary.positives), totals, squares, constant, confidence)


def _decisions(summary: Summary) -> list[int]:
    """Return the numbers of false alarms, hits, negatives without an alarm, and missed positives."""
    return [summary.sums[name] for name in ("alarm_0", "alarm_1", "silent_0", "silent_1")]


def _alarms(summary: Summary, confidence: float) -> dict[str, Measured]:
    """Measure precision and recall of the alarms; those of random alarms are the share of positives and of alarms."""
    false, hits, silent, missed = _decisions(summary)
    decided = false + hits + silent + missed
    if not decided:
        return {"precision": Measured(reason=NO_DECISION), "recall": Measured(reason=NO_DECISION)}
    return {
        "precision": Measured(
            interval=intervals.share(hits, hits + false, confidence), baseline=(hits + missed) / decided
        )
        if hits + false
        else Measured(reason=NO_ALARMS),
        "recall": Measured(interval=intervals.share(hits, hits + missed, confidence), baseline=(hits + false) / decided)
        if hits + missed
        else Measured(reason=ONE_CLASS),
    }


def _cost(summary: Summary, confidence: float, cost: Cost, baseline_rate: float | None) -> Measured:
    """Measure the cost per decided row, and its difference from the baseline, which flags all rows or none."""
    rows = _decisions(summary)
    if not sum(rows):
        return Measured(reason=NO_DECISION)
    costs = (cost.false_alarm, 0.0, 0.0, cost.missed)
    if baseline_rate is None:
        return Measured(interval=mean_of_kinds(rows, costs, confidence))
    if baseline_rate >= cost.threshold:
        baseline_costs = (cost.false_alarm, 0.0, cost.false_alarm, 0.0)
    else:
        baseline_costs = (0.0, cost.missed, 0.0, cost.missed)
    return against_kinds(rows, costs, baseline_costs, confidence)
