"""Contents of the performance pages: nights, slices, estimates and findings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal

from nightjar.declaration.problem import Cost, CostMatrix
from nightjar.declaration.quantiles import QuantileCost
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.performance.problem import PerformanceProblem
from nightjar.monitoring.performance.rows import PerformanceRow
from nightjar.monitoring.reporting.origin import ReportOrigin

State = Literal["judged", "not_judged", "nothing_yet"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One night or week of a plot.

    Attributes:
        night: The night, or the last night of the week.
        rows: Rows of ``monitoring/performance`` by metric, without slices.
    """

    night: date
    rows: Mapping[str, PerformanceRow]


@dataclass(frozen=True, kw_only=True)
class PerformanceReport:
    """Contents of a page.

    Attributes:
        title: Title of the use case.
        use_case: Name of the use case.
        problem: Its problem type.
        night: Night whose run judged.
        weekly: Whether the page pools several nights.
        nights: Judged nights, ascending; one on the nightly page, none when there are no mature labels yet.
        state: Whether the nights could be judged.
        reason: Why they were not judged.
        figures: Rows by metric, without slices.
        slices: Rows of ``monitoring/performance`` of slices.
        slice_names: The declared slices.
        detail: What only pages of the problem type show.
        estimated: Rows by metric of the night that is only estimated.
        history: Earlier nights or weeks and the current one, oldest first.
        findings: Findings of the judged nights.
        notes: Notes at the top of the page.
        confidence: Confidence level of all intervals.
        cost: Costs of errors; None when not declared.
        bound: Floor or ceiling of the monitored metric; None for none.
        origin: Code, run and tables of the report.
    """

    title: str
    use_case: str
    problem: PerformanceProblem
    night: date
    weekly: bool = False
    nights: Sequence[date] = ()
    state: State = "judged"
    reason: str = ""
    figures: Mapping[str, PerformanceRow] = field(default_factory=dict)
    slices: Sequence[PerformanceRow] = ()
    slice_names: Sequence[str] = ()
    detail: Any
    estimated: Mapping[str, PerformanceRow] = field(default_factory=dict)
    history: Sequence[Point] = ()
    findings: Sequence[Finding] = ()
    notes: Sequence[str] = ()
    confidence: float = 0.95
    cost: Cost | CostMatrix | QuantileCost | None = None
    bound: float | None = None
    origin: ReportOrigin

    @property
    def judged_night(self) -> date | None:
        """The last of :attr:`nights`."""
        return self.nights[-1] if self.nights else None

    @property
    def whole(self) -> PerformanceRow | None:
        """The row of the monitored metric, without slices."""
        return self.figures.get(self.problem.monitored.name)

    @property
    def is_judged(self) -> bool:
        """Whether the monitored metric has a value."""
        return self.state == "judged" and self.whole is not None and self.whole.value is not None

    @property
    def metrics(self) -> list[str]:
        """Metrics that have a row, in display order."""
        return [metric for metric in self.problem.words if metric in self.figures]

    @property
    def css_class(self) -> str:
        """CSS class of the page: ``stable``, ``drift`` with findings, ``unknown`` when not judged."""
        if self.findings:
            return "drift"
        return "stable" if self.is_judged else "unknown"

    def of_slice(self, name: str) -> list[Mapping[str, PerformanceRow]]:
        """Return rows by metric of each judged value of a slice; numbers ascending, other values by size."""
        values: dict[str, dict[str, PerformanceRow]] = {}
        for row in self.slices:
            if row.slice == name:
                values.setdefault(row.slice_value, {})[row.metric] = row
        judged = [rows for rows in values.values() if any(row.verdict == "judged" for row in rows.values())]
        if any(_NUMBER.fullmatch(value) for value in values):
            return sorted(judged, key=lambda rows: slice_sort_key(_any(rows).slice_value))
        return sorted(judged, key=lambda rows: (-_any(rows).labelled_rows, _any(rows).slice_value))

    def too_small(self, name: str) -> list[str]:
        """Return the values of a slice that have too few labelled rows."""
        judged = {_any(rows).slice_value for rows in self.of_slice(name)}
        return sorted({row.slice_value for row in self.slices if row.slice == name} - judged, key=slice_sort_key)


_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE]-?\d+)?")


def slice_sort_key(value: str) -> tuple[bool, float, str]:
    """Sort key of a slice's value: numbers first, by size, then texts alphabetically."""
    is_number = _NUMBER.fullmatch(value) is not None
    return not is_number, float(value) if is_number else 0.0, value


def _any(rows: Mapping[str, PerformanceRow]) -> PerformanceRow:
    return next(iter(rows.values()))


def as_of(row: PerformanceRow, night: date, no_estimate: str) -> PerformanceRow:
    """Return a row as it was on ``night``: judged later means only estimated then.

    Args:
        row: The row.
        night: The night.
        no_estimate: Why the problem type estimates nothing; empty when it does.
    """
    if row.judged_on is None or row.judged_on <= night:
        return row
    return replace(
        row,
        value=None,
        low=None,
        high=None,
        estimate_error=None,
        baseline=None,
        excess=None,
        excess_low=None,
        excess_high=None,
        judged_on=None,
        verdict="not_judged" if no_estimate else "estimated",
        reason=no_estimate or None,
    )
