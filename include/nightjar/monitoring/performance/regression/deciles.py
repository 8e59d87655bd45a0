"""Predicted and observed means of rows with similar predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.exact_sums import SCALE
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.regression.summary import Bin, Summary

GROUPS = 10
"""Groups of about equally many labelled rows; rows of one bin of the summary share one."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows with similar predictions.

    Attributes:
        rows: Labelled rows.
        predicted: Mean prediction.
        observed: Mean label.
    """

    rows: int
    predicted: float
    observed: Interval

    @property
    def agrees(self) -> bool:
        """Whether the mean prediction is within the interval of the mean label."""
        return self.observed.low <= self.predicted <= self.observed.high


def group_rows(summary: Summary, confidence: float) -> list[Group]:
    """Split the labelled rows into at most :data:`GROUPS` groups in ascending order of the prediction."""
    total, below = summary.labelled, 0
    places: dict[int, list[Bin]] = {}
    for held in summary.bins.values():
        rows = held[0]
        places.setdefault(min((2 * below + rows) * GROUPS // (2 * total), GROUPS - 1), []).append(held)
        below += rows
    return [_group(bins, confidence) for bins in places.values()]


def _group(bins: Iterable[Bin], confidence: float) -> Group:
    rows, prediction, label, squares = (sum(values) for values in zip(*bins, strict=True))
    return Group(
        rows=rows,
        predicted=prediction / SCALE / rows,
        observed=intervals.mean(label / SCALE, squares / SCALE, rows, confidence),
    )
