"""Estimate a night's metrics from the scores alone, before its labels have landed, if the scores are calibrated.

Confidence-based performance estimation: a row with the probability p counts as p of a positive and 1 - p of a
negative, with independent labels (NannyML's CBPE; Kivimäki, Białek, Kuberski and Nurminen, 2025, Performance
Estimation in Binary Classification Using Calibrated Confidence, arXiv:2505.05295). The intervals contain the judged
metric if the probabilities are right; a judged night shows the actual error of the estimate.
"""

from __future__ import annotations

import math

from nightjar.declaration.problem import Cost
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.binary.metrics import upper_bound
from nightjar.monitoring.performance.binary.summary import Summary, probability_of
from nightjar.monitoring.performance.intervals import Interval

ESTIMATED = ("auc", "log_loss", "brier", "expected_cost", "label_rate")
"""Estimated metrics; the calibration error is 0 by assumption."""


def estimate(summary: Summary, *, confidence: float, cost: Cost | None) -> dict[str, Interval]:
    """Estimate each metric of :data:`ESTIMATED` over all scored rows, with or without a label.

    Args:
        summary: Summary of the rows.
        confidence: Confidence level of the intervals.
        cost: Costs of errors; without it, or without decisions, no cost is estimated.
    """
    rows = summary.rows
    if not rows:
        return {}
    estimated = {
        "log_loss": _mean(summary.sum("entropy"), summary.sum("entropy_spread"), rows, confidence),
        "brier": _mean(summary.sum("brier"), summary.sum("brier_spread"), rows, confidence),
        "label_rate": _mean(summary.sum("prediction"), summary.sum("brier"), rows, confidence),
    }
    if (area := _auc(summary, confidence)) is not None:
        estimated["auc"] = area
    decided = summary.sums["alarms"] + summary.sums["silents"]
    if cost and decided:
        false_alarms = summary.sums["alarms"] - summary.sum("alarm_prediction")
        total = cost.false_alarm * false_alarms + cost.missed * summary.sum("silent_prediction")
        spread = cost.false_alarm**2 * summary.sum("alarm_spread") + cost.missed**2 * summary.sum("silent_spread")
        estimated["expected_cost"] = _mean(total, spread, decided, confidence)
    return {
        metric: estimated[metric].within(0.0, upper_bound(metric, cost)) for metric in ESTIMATED if metric in estimated
    }


def _mean(total: float, spread: float, rows: int, confidence: float) -> Interval:
    """Return the mean of rows with the sum of expectations ``total`` and the sum of variances ``spread``."""
    half = intervals.quantile(confidence) * math.sqrt(spread) / rows
    return Interval(value=total / rows, low=total / rows - half, high=total / rows + half)


def _auc(summary: Summary, confidence: float) -> Interval | None:
    """Return the AUC of the expected positives and negatives of each bin; None when all rows are in one bin.

    A label that is positive instead of negative changes it by the difference of both influences.
    """
    if len(summary.bins) < 2:
        return None
    rows, p = summary.counts.sum(axis=0), probability_of(summary.bins)
    area = intervals.auc(rows * (1 - p), rows * p)
    spread = float((rows * p * (1 - p) * (area.positive - area.negative) ** 2).sum())
    return intervals.within_unit(area.value, math.sqrt(spread), confidence)
