"""What to expect of a night before its labels come: from the scores alone, as far as they are calibrated.

Confidence-based performance estimation: a row with the probability p is taken for p of a positive and 1 - p of a
negative one, labels being independent (NannyML's CBPE; Kivimäki, Białek, Kuberski and Nurminen, 2025, Performance
Estimation in Binary Classification Using Calibrated Confidence, arXiv:2505.05295). Its intervals hold what the night
will show, should the probabilities be right; how wrong they were is the error that a judged night shows.
"""

from __future__ import annotations

import math

from nightjar.declaration.training import Cost
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.summary import Summary, probability_of

ESTIMATED = ("auc", "log_loss", "brier", "expected_cost", "label_rate")
"""What is estimated. Not the calibration error, which is 0 by assumption."""


def estimate(summary: Summary, *, confidence: float, cost: Cost | None) -> dict[str, Interval]:
    """Each metric of :data:`ESTIMATED` that can be; over all scored rows, whether they have a label or not.

    Args:
        summary: The rows.
        confidence: Of the intervals.
        cost: What errors cost; without it, or without decisions, no cost is estimated.
    """
    rows = summary.rows
    if not rows:
        return {}
    found = {
        "log_loss": _mean(summary.sum("entropy"), summary.sum("entropy_spread"), rows, confidence),
        "brier": _mean(summary.sum("brier"), summary.sum("brier_spread"), rows, confidence),
        "label_rate": _mean(summary.sum("prediction"), summary.sum("brier"), rows, confidence),
    }
    if (area := _auc(summary, confidence)) is not None:
        found["auc"] = area
    decided = summary.sums["alarms"] + summary.sums["silents"]
    if cost and decided:
        false_alarms = summary.sums["alarms"] - summary.sum("alarm_prediction")
        total = cost.false_alarm * false_alarms + cost.missed * summary.sum("silent_prediction")
        spread = cost.false_alarm**2 * summary.sum("alarm_spread") + cost.missed**2 * summary.sum("silent_spread")
        found["expected_cost"] = _mean(total, spread, decided, confidence)
    return {
        metric: found[metric].within(0.0, intervals.greatest(metric, cost)) for metric in ESTIMATED if metric in found
    }


def _mean(total: float, spread: float, rows: int, confidence: float) -> Interval:
    """The mean of rows whose expectations add up to ``total`` and their variances to ``spread``."""
    half = intervals.quantile(confidence) * math.sqrt(spread) / rows
    return Interval(value=total / rows, low=total / rows - half, high=total / rows + half)


def _auc(summary: Summary, confidence: float) -> Interval | None:
    """The AUC of the expected positives and negatives of each bin; None where all rows are in one bin.

    A label that turns out positive instead of negative moves it by the difference of both influences.
    """
    if len(summary.bins) < 2:
        return None
    rows, p = summary.counts.sum(axis=0), probability_of(summary.bins)
    area = intervals.auc(rows * (1 - p), rows * p)
    spread = float((rows * p * (1 - p) * (area.positive - area.negative) ** 2).sum())
    return intervals.within_unit(area.value, math.sqrt(spread), confidence)
