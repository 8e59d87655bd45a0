"""How good scores were, once labels are known: metrics with intervals, and against a naive baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nightjar.declaration.training import Cost
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.calibration import calibration_error, groups
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.summary import NEGATIVE, POSITIVE, Summary

METRICS = ("auc", "pr_auc", "log_loss", "brier", "calibration_error", "expected_cost", "label_rate")
"""All that is measured, in the order in which it is shown; ``label_rate`` is the share of positives."""
RANKS = ("auc", "pr_auc")
"""Metrics that need rows of both classes."""
NO_LABELS = "no row has a label"
ONE_CLASS = "all labels are alike, and ranks cannot be judged"
NO_DECISION = "no row has a decision"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric of labelled rows.

    Attributes:
        found: The figure with its interval; None where it cannot be measured.
        baseline: What the constant prediction would have got; None where no earlier label says which.
        excess: The figure less the baseline's, with the interval of that difference, row by row where rows have it;
            None without a baseline, and for metrics that are no comparison.
        reason: Why there is no figure; empty where there is one.
    """

    found: Interval | None = None
    baseline: float | None = None
    excess: Interval | None = None
    reason: str = ""


def measure(summary: Summary, *, confidence: float, cost: Cost | None, naive: float | None) -> dict[str, Measured]:
    """Every metric of :data:`METRICS`; the cost only where one is declared.

    Args:
        summary: The rows.
        confidence: Of the intervals.
        cost: What errors cost.
        naive: The constant probability that was known when the rows were scored: the label rate of the nights before.
    """
    wanted = [metric for metric in METRICS if cost or metric != "expected_cost"]
    if not summary.labelled:
        return {metric: Measured(reason=NO_LABELS) for metric in wanted}
    measured = {**_ranks(summary, confidence), **_scores(summary, confidence, naive)}
    distance = None if naive is None else abs(naive - summary.positives / summary.labelled)
    measured["calibration_error"] = Measured(
        found=calibration_error(groups(summary, confidence), confidence), baseline=distance
    )
    measured["label_rate"] = Measured(
        found=intervals.share(summary.positives, summary.labelled, confidence), baseline=naive
    )
    if cost:
        measured["expected_cost"] = _cost(summary, confidence, cost, naive)
    return {metric: _bounded(measured[metric], intervals.greatest(metric, cost)) for metric in wanted}


def _bounded(measured: Measured, high: float) -> Measured:
    """The same, with intervals that hold only what the metric, or a difference of it, can be."""
    return replace(
        measured,
        found=measured.found and measured.found.within(0.0, high),
        excess=measured.excess and measured.excess.within(-high, high),
    )


def tie_error(summary: Summary) -> float:
    """By how much binning can have moved the AUC at most: half the share of pairs of unlike labels in one bin."""
    pairs = summary.negatives * summary.positives
    tied = (summary.counts[NEGATIVE].astype(np.float64) * summary.counts[POSITIVE]).sum()
    return float(tied / pairs / 2) if pairs else 0.0


def _ranks(summary: Summary, confidence: float) -> dict[str, Measured]:
    negatives, positives = summary.counts[NEGATIVE], summary.counts[POSITIVE]
    if not summary.negatives or not summary.positives:
        return {metric: Measured(reason=ONE_CLASS) for metric in RANKS}
    area = intervals.delong(negatives, positives, confidence)
    ranked = intervals.average_precision(negatives.astype(np.float64), positives.astype(np.float64))
    precision = intervals.jackknife(ranked, negatives, positives, confidence)
    rate = summary.positives / summary.labelled  # a constant announces all rows, or none
    return {
        "auc": Measured(found=area, baseline=0.5, excess=area.shifted(0.5)),
        "pr_auc": Measured(found=precision, baseline=rate, excess=precision.shifted(rate)),
    }


def _scores(summary: Summary, confidence: float, naive: float | None) -> dict[str, Measured]:
    """Log loss and Brier score, and each row's less that of the constant."""
    constants: Mapping[str, tuple[float, float] | None] = {"log_loss": None, "brier": None}
    if naive is not None:
        p = min(max(naive, 1e-12), 1 - 1e-12)
        constants = {"log_loss": (-math.log1p(-p), -math.log(p)), "brier": (naive**2, (1 - naive) ** 2)}
    return {
        metric: _mean_of_rows(summary, name, confidence, constants[metric])
        for metric, name in (("log_loss", "loss"), ("brier", "error"))
    }


def _mean_of_rows(summary: Summary, name: str, confidence: float, constant: tuple[float, float] | None) -> Measured:
    rows = (summary.negatives, summary.positives)
    totals = [summary.sum(f"{name}_{label}") for label in (0, 1)]
    squares = [summary.sum(f"{name}_squares_{label}") for label in (0, 1)]
    found = intervals.mean(sum(totals), sum(squares), sum(rows), confidence)
    if constant is None:
        return Measured(found=found)
    each = list(zip(rows, totals, squares, constant, strict=True))
    less = sum(t - n * c for n, t, _, c in each)
    less_squares = sum(s - 2 * c * t + n * c * c for n, t, s, c in each)
    baseline = sum(n * c for n, _, _, c in each) / sum(rows)
    return Measured(found=found, baseline=baseline, excess=intervals.mean(less, less_squares, sum(rows), confidence))


def _cost(summary: Summary, confidence: float, cost: Cost, naive: float | None) -> Measured:
    """Cost a decided row, and each row's less that of deciding by the constant: always to announce, or never."""
    rows = [summary.sums[name] for name in ("alarm_0", "alarm_1", "silent_0", "silent_1")]
    if not sum(rows):
        return Measured(reason=NO_DECISION)
    costs = (cost.false_alarm, 0.0, 0.0, cost.missed)
    found = _mean_of_kinds(rows, costs, confidence)
    if naive is None:
        return Measured(found=found)
    if naive >= cost.threshold:
        constant = (cost.false_alarm, 0.0, cost.false_alarm, 0.0)
    else:
        constant = (0.0, cost.missed, 0.0, cost.missed)
    baseline = _mean_of_kinds(rows, constant, confidence).value
    excess = _mean_of_kinds(rows, [mine - its for mine, its in zip(costs, constant, strict=True)], confidence)
    return Measured(found=found, baseline=baseline, excess=excess)


def _mean_of_kinds(rows: list[int], values: tuple[float, ...] | list[float], confidence: float) -> Interval:
    each = list(zip(rows, values, strict=True))
    return intervals.mean(sum(n * v for n, v in each), sum(n * v * v for n, v in each), sum(rows), confidence)
