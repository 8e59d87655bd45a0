"""Metrics of labelled scores, with confidence intervals and against a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nightjar.declaration.target import Cost
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.calibration import calibration_error, group_rows
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.summary import NEGATIVE, POSITIVE, Summary

METRICS = ("auc", "pr_auc", "log_loss", "brier", "calibration_error", "expected_cost", "label_rate")
"""All metrics in display order; ``label_rate`` is the share of positives."""
RANKING_METRICS = ("auc", "pr_auc")
"""Metrics of the order of the predictions; they need rows of both classes."""
NO_LABELS = "no row has a label"
ONE_CLASS = "all labels are equal, so ranks cannot be judged"
NO_DECISION = "no row has a decision"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric of labelled rows.

    Attributes:
        interval: Value with confidence interval; None when it cannot be measured.
        baseline: Value of the constant baseline prediction; None without earlier labels.
        excess: Value minus baseline, with the confidence interval of this difference. For a metric that is a mean of
            rows, the interval is that of the rows' differences. None without a baseline, and for metrics that are not
            compared.
        reason: Why there is no value; empty otherwise.
    """

    interval: Interval | None = None
    baseline: float | None = None
    excess: Interval | None = None
    reason: str = ""


def measure(
    summary: Summary, *, confidence: float, cost: Cost | None, baseline_rate: float | None
) -> dict[str, Measured]:
    """Measure every metric of :data:`METRICS`; the cost only if costs are declared.

    Args:
        summary: Summary of the rows.
        confidence: Confidence level of the intervals.
        cost: Costs of errors.
        baseline_rate: Prediction of the baseline: the label rate of earlier nights, as known when the rows were scored.
    """
    wanted = [metric for metric in METRICS if cost or metric != "expected_cost"]
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
    return {metric: _bounded(measured[metric], intervals.upper_bound(metric, cost)) for metric in wanted}


def _bounded(measured: Measured, high: float) -> Measured:
    """Clip the intervals to the possible range of the metric and of its differences."""
    return replace(
        measured,
        interval=measured.interval and measured.interval.within(0.0, high),
        excess=measured.excess and measured.excess.within(-high, high),
    )


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
    # Loss of a negative and of a positive row when the prediction is always the baseline's.
    baseline_losses: Mapping[str, tuple[float, float] | None] = {"log_loss": None, "brier": None}
    if baseline_rate is not None:
        p = min(max(baseline_rate, 1e-12), 1 - 1e-12)
        baseline_losses = {
            "log_loss": (-math.log1p(-p), -math.log(p)),
            "brier": (baseline_rate**2, (1 - baseline_rate) ** 2),
        }
    return {
        metric: _mean_of_rows(summary, name, confidence, baseline_losses[metric])
        for metric, name in (("log_loss", "loss"), ("brier", "error"))
    }


def _mean_of_rows(
    summary: Summary, name: str, confidence: float, baseline_losses: tuple[float, float] | None
) -> Measured:
    """Measure the mean of a loss over rows from its sums per class, and its difference from the baseline's."""
    rows = (summary.negatives, summary.positives)
    totals = [summary.sum(f"{name}_{label}") for label in (0, 1)]
    squares = [summary.sum(f"{name}_squares_{label}") for label in (0, 1)]
    interval = intervals.mean(sum(totals), sum(squares), sum(rows), confidence)
    if baseline_losses is None:
        return Measured(interval=interval)
    classes = list(zip(rows, totals, squares, baseline_losses, strict=True))
    excess = sum(t - n * b for n, t, _, b in classes)
    excess_squares = sum(s - 2 * b * t + n * b * b for n, t, s, b in classes)
    return Measured(
        interval=interval,
        baseline=sum(n * b for n, _, _, b in classes) / sum(rows),
        excess=intervals.mean(excess, excess_squares, sum(rows), confidence),
    )


def _cost(summary: Summary, confidence: float, cost: Cost, baseline_rate: float | None) -> Measured:
    """Measure the cost per decided row, and its difference from the baseline, which flags all rows or none."""
    rows = [summary.sums[name] for name in ("alarm_0", "alarm_1", "silent_0", "silent_1")]
    if not sum(rows):
        return Measured(reason=NO_DECISION)
    costs = (cost.false_alarm, 0.0, 0.0, cost.missed)
    interval = _mean_of_groups(rows, costs, confidence)
    if baseline_rate is None:
        return Measured(interval=interval)
    if baseline_rate >= cost.threshold:
        baseline_costs = (cost.false_alarm, 0.0, cost.false_alarm, 0.0)
    else:
        baseline_costs = (0.0, cost.missed, 0.0, cost.missed)
    differences = [model - baseline for model, baseline in zip(costs, baseline_costs, strict=True)]
    return Measured(
        interval=interval,
        baseline=_mean_of_groups(rows, baseline_costs, confidence).value,
        excess=_mean_of_groups(rows, differences, confidence),
    )


def _mean_of_groups(rows: list[int], values: Sequence[float], confidence: float) -> Interval:
    """Return the mean over groups of rows, all rows of a group having the same value."""
    groups = list(zip(rows, values, strict=True))
    return intervals.mean(sum(n * v for n, v in groups), sum(n * v * v for n, v in groups), sum(rows), confidence)
