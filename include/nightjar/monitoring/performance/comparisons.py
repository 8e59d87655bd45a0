"""Means of rows, and their differences from a constant prediction, from counts and sums of groups of rows."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.problem import Measured


def mean_of_groups(
    rows: Sequence[int],
    totals: Sequence[float],
    squares: Sequence[float],
    constants: Sequence[float] | None,
    confidence: float,
) -> Measured:
    """Measure a mean of rows, and its difference from a loss that is constant within each group, row by row.

    Args:
        rows: Rows of each group.
        totals: Sum of each group's values.
        squares: Sum of their squares.
        constants: The baseline's value for each row of a group; None without a baseline.
        confidence: Confidence level of the intervals.
    """
    found = intervals.mean(sum(totals), sum(squares), sum(rows), confidence)
    if constants is None:
        return Measured(interval=found)
    each = list(zip(rows, totals, squares, constants, strict=True))
    less = sum(t - n * c for n, t, _, c in each)
    less_squares = sum(s - 2 * c * t + n * c * c for n, t, s, c in each)
    baseline = sum(n * c for n, _, _, c in each) / sum(rows)
    return Measured(interval=found, baseline=baseline, excess=intervals.mean(less, less_squares, sum(rows), confidence))


def mean_of_kinds(rows: Sequence[int], values: Sequence[float], confidence: float) -> Interval:
    """Return the mean of rows whose value is the same within each kind."""
    each = list(zip(rows, values, strict=True))
    return intervals.mean(sum(n * v for n, v in each), sum(n * v * v for n, v in each), sum(rows), confidence)


def against_kinds(
    rows: Sequence[int], values: Sequence[float], constants: Sequence[float], confidence: float
) -> Measured:
    """Measure a mean of rows by kind, and its difference from a baseline whose value is the same within each kind."""
    excess = mean_of_kinds(rows, [own - other for own, other in zip(values, constants, strict=True)], confidence)
    return Measured(
        interval=mean_of_kinds(rows, values, confidence),
        baseline=mean_of_kinds(rows, constants, confidence).value,
        excess=excess,
    )


def bounded(measured: Measured, low: float, high: float) -> Measured:
    """Clip the intervals to the possible range of the metric and of its differences."""
    return Measured(
        interval=measured.interval and measured.interval.within(low, high),
        baseline=measured.baseline,
        excess=measured.excess and measured.excess.within(low - high, high - low),
        reason=measured.reason,
    )
