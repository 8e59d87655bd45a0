"""Rows of the performance tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from nightjar.monitoring.performance.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class PerformanceRow:
    """A row of ``monitoring/performance``: one metric of a night's scores, of all rows or of a slice."""

    ds: date
    use_case: str
    slice: str
    slice_value: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    estimate: float | None
    estimate_low: float | None
    estimate_high: float | None
    estimate_error: float | None
    baseline: float | None
    excess: float | None
    excess_low: float | None
    excess_high: float | None
    holdout: float | None
    rows: int
    landed_rows: int
    labelled_rows: int
    verdict: Literal["estimated", "judged", "not_judged"]
    reason: str | None
    judged_on: date | None
    model_version: str
    dag_run_id: str

    @property
    def interval(self) -> Interval | None:
        """The judged value; None until judged."""
        return _interval(self.value, self.low, self.high)

    @property
    def estimated(self) -> Interval | None:
        """The value as estimated from the scores alone; None for none."""
        return _interval(self.estimate, self.estimate_low, self.estimate_high)

    @property
    def excess_interval(self) -> Interval | None:
        """The value minus the baseline's; None without a baseline."""
        return _interval(self.excess, self.excess_low, self.excess_high)


@dataclass(frozen=True, kw_only=True)
class CountsRow:
    """A row of ``monitoring/performance_counts``: the summary of a judged night's rows, or of a slice of them."""

    ds: date
    use_case: str
    slice: str
    slice_value: str
    judged_on: date
    model_version: str
    summary: str
    units: str | None
    dag_run_id: str


def by_metric(rows: Iterable[PerformanceRow]) -> dict[str, PerformanceRow]:
    """Index the rows of one night and slice by metric."""
    return {row.metric: row for row in rows}


def _interval(value: float | None, low: float | None, high: float | None) -> Interval | None:
    return None if value is None or low is None or high is None else Interval(value=value, low=low, high=high)
