"""Contents of a night's pages, from the tables alone and as known on that night."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property, lru_cache

from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.performance.findings import find_problems
from nightjar.monitoring.performance.problem import PerformanceProblem, Summary
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.report_data import PerformanceReport, Point, State, as_of
from nightjar.monitoring.performance.rows import CountsRow, PerformanceRow, by_metric
from nightjar.monitoring.performance.table import (
    ALL,
    COUNTS_TABLE,
    WINDOW_NIGHTS,
    Place,
    ScoredNight,
    estimate_metrics,
    judged_nights,
    performance_rows,
)
from nightjar.monitoring.performance.units import Units, describe_clusters, merge_units, read_units
from nightjar.monitoring.reporting.origin import ReportOrigin
from nightjar.monitoring.stored_row_errors import naming_stored_row

SHOWN_NIGHTS = 28
WEEK_NIGHTS, SHOWN_WEEKS = 7, 8
_NO_HOLDOUT = "The ledger has no holdout metrics of version {} (event gate), so nothing is compared with the holdout."


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Data for the pages of several nights.

    Attributes:
        use_case: The use case.
        rows: Rows of ``monitoring/performance``.
        counts: Rows of ``monitoring/performance_counts``.
        origin: Code, run and tables of every page.
    """

    use_case: UseCase
    rows: Sequence[PerformanceRow]
    counts: Sequence[CountsRow]
    origin: ReportOrigin

    @cached_property
    def problem(self) -> PerformanceProblem:
        """The use case's problem type."""
        return performance_problem(self.use_case.problem)

    @cached_property
    def read(self) -> Callable[[str], Summary]:
        """Read a summary from JSON, each text once."""
        return lru_cache(maxsize=None)(self.problem.read_summary)

    def of_night(self, night: date, judged: date | None, *, link: str) -> PerformanceReport:
        """Return the page of ``night``, whose run judged the night ``judged``; None when there is none yet."""
        first = (judged or night) - timedelta(days=SHOWN_NIGHTS - 1)
        known = [as_of(row, night, self.problem.no_estimate) for row in self.rows if first <= row.ds <= night]
        judged_rows = [row for row in known if row.ds == judged]
        figures = by_metric([row for row in judged_rows if not row.slice])
        state = self._state(figures)
        summary = self._summary(ALL, [judged] if judged and state == "judged" else [])
        return replace(
            self._empty_page(night, summary),
            nights=[judged] if judged else [],
            state=state,
            reason=next((row.reason for row in figures.values() if row.reason), ""),
            figures=figures,
            slices=[row for row in judged_rows if row.slice],
            estimated=by_metric([row for row in known if row.ds == night and not row.slice]),
            history=_points(known),
            findings=self._findings([judged] if judged and state == "judged" else [], night, link),
            notes=self._notes(figures),
        )

    def of_week(self, night: date, *, link: str) -> PerformanceReport:
        """Return the page of the last judged nights as of ``night``, pooled, with earlier weeks as a plot."""
        judged = sorted({row.ds for row in self.counts if row.judged_on <= night and row.ds <= night})
        last = len(judged)
        starts = [last - WEEK_NIGHTS * (i + 1) for i in range(SHOWN_WEEKS)]
        weeks = [judged[max(0, start) : start + WEEK_NIGHTS] for start in starts if start + WEEK_NIGHTS > 0]
        weeks = [week for week in weeks if week][::-1]
        if not weeks:
            return replace(self._empty_page(night, self.problem.merge([])), weekly=True, state="nothing_yet")
        rows = self._pooled(weeks[-1], night, slices=True)
        figures = by_metric([row for row in rows if not row.slice])
        earlier = [Point(night=week[-1], rows=by_metric(self._pooled(week, night))) for week in weeks[:-1]]
        return replace(
            self._empty_page(night, self._summary(ALL, weeks[-1])),
            weekly=True,
            nights=weeks[-1],
            figures=figures,
            slices=[row for row in rows if row.slice],
            history=[*earlier, Point(night=weeks[-1][-1], rows=figures)],
            findings=self._findings(weeks[-1], night, link, figures),
            notes=self._notes(figures),
        )

    def _findings(
        self, nights: Sequence[date], night: date, link: str, figures: Mapping[str, PerformanceRow] | None = None
    ) -> list[Finding]:
        """Return the findings of the last of ``nights``; ``figures`` overrides its rows for pooled nights."""
        if not nights:
            return []
        first = nights[-1] - timedelta(days=WINDOW_NIGHTS - 1)
        by_night = judged_nights((row for row in self.rows if first <= row.ds <= nights[-1]), night)
        return find_problems(list(by_night.values()), self.use_case, night=night, link=link, judged=figures)

    def _empty_page(self, night: date, summary: Summary) -> PerformanceReport:
        """Return a page of ``night`` with the declaration and the distribution of ``summary``, without results."""
        use_case = self.use_case
        confidence = use_case.monitoring.performance.confidence
        return PerformanceReport(
            title=use_case.title,
            use_case=use_case.name,
            night=night,
            slice_names=use_case.monitoring.performance.slices,
            problem=self.problem,
            detail=self.problem.detail(summary, confidence),
            confidence=confidence,
            cost=use_case.problem.cost,
            bound=self.problem.monitored.bound(use_case.monitoring.retraining),
            origin=self.origin,
        )

    def _state(self, figures: Mapping[str, PerformanceRow]) -> State:
        if not figures:
            return "nothing_yet"
        return "judged" if any(row.verdict == "judged" for row in figures.values()) else "not_judged"

    def _summary(self, place: Place, nights: Sequence[date]) -> Summary:
        """Merge the nights' summaries of a slice."""
        rows = [row for row in self.counts if row.ds in nights and (row.slice, row.slice_value) == place]
        with naming_stored_row(COUNTS_TABLE):
            return self.problem.merge([self.read(row.summary) for row in rows])

    def _units(self, place: Place, nights: Sequence[date]) -> Units:
        """Merge the nights' buckets of units of a slice."""
        rows = [row for row in self.counts if row.ds in nights and (row.slice, row.slice_value) == place]
        with naming_stored_row(COUNTS_TABLE):
            return merge_units(self.problem, [read_units(self.problem, row.units) for row in rows if row.units])

    def _pooled(self, nights: Sequence[date], night: date, *, slices: bool = False) -> list[PerformanceRow]:
        """Return rows like those of one night for the pooled rows of ``nights``, optionally with slices.

        The baseline is the one known when the first night was scored. Holdout metrics are included if one
        version scored all nights.
        """
        held = [row for row in self.counts if row.ds in nights]
        places = {(row.slice, row.slice_value) for row in held} if slices else {ALL}
        versions = sorted({version for row in held for version in row.model_version.split(",")})
        whole = [row for row in self.rows if row.ds in nights and not row.slice]
        of_first = by_metric(row for row in whole if row.ds == nights[0])
        of_holdout = {row.metric: row.holdout for row in whole if row.holdout is not None}
        pooled = ScoredNight(
            night=nights[-1],
            summaries={place: self._summary(place, nights) for place in places},
            units={place: self._units(place, nights) for place in places} if self._unit else {},
            judged_on=night,
            model_version=",".join(versions),
            baseline=self.problem.stored_baseline(of_first),
            holdout=of_holdout if len(versions) == 1 else {},
        )
        pooled = replace(pooled, estimates=estimate_metrics(pooled, self.use_case))
        return performance_rows(pooled, self.use_case, run_id=self.origin.run_id)

    @property
    def _unit(self) -> str | None:
        return self.use_case.monitoring.performance.unit

    def _notes(self, figures: Mapping[str, PerformanceRow]) -> list[str]:
        """Return notes on clustered intervals, and on the model versions that scored."""
        row = figures.get(self.problem.monitored.name)
        if row is None or not row.model_version:
            return []
        notes = [describe_clusters(self.problem, self._unit)] if self._unit else []
        versions = row.model_version.split(",")
        if len(versions) > 1:
            notes.append(f"Versions {', '.join(versions)} scored these rows, so they are not compared with a holdout.")
        elif row.holdout is None:
            notes.append(_NO_HOLDOUT.format(versions[0]))
        return notes


def _points(rows: Sequence[PerformanceRow]) -> list[Point]:
    nights: dict[date, dict[str, PerformanceRow]] = {}
    for row in rows:
        if not row.slice:
            nights.setdefault(row.ds, {})[row.metric] = row
    return [Point(night=night, rows=nights[night]) for night in sorted(nights)]
