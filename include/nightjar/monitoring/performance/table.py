"""``monitoring/performance``: metrics of each night's scores, estimated first and judged when labels have landed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.performance.findings import find_problems
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.problem import Baseline, Measured, PerformanceProblem, Summary
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.rows import CountsRow, PerformanceRow
from nightjar.monitoring.performance.units import Units, dump_units, measure_clustered

Place = tuple[str, str]
"""Slice and its value; :data:`ALL` for all rows."""
ALL: Place = ("", "")

PERFORMANCE_TABLE = TableSchema(
    name="monitoring/performance",
    comment="Metrics of each night's scores, overall and by slice: estimated first, judged when labels have landed.",
    key=("use_case", "slice", "slice_value", "metric"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("slice", "string", "Column that defines the slices; empty for all rows.", nullable=False),
        Column("slice_value", "string", "Value of the slice; empty for all rows.", nullable=False),
        Column("metric", "string", "Name of the metric; see docs/performance.md for those of a problem type.",
               nullable=False),
        Column("value", "double", "Metric on rows with a label; null until judged."),
        Column("low", "double", "Lower end of its confidence interval."),
        Column("high", "double", "Upper end of its confidence interval."),
        Column("estimate", "double", "Metric as estimated from the scores alone on night ds; null for none."),
        Column("estimate_low", "double", "Lower end of the range expected of calibrated scores."),
        Column("estimate_high", "double", "Upper end of the range expected of calibrated scores."),
        Column("estimate_error", "double", "value minus estimate; null until judged."),
        Column("baseline", "double", "Metric of the baseline: a constant prediction, from labels known on night ds."),
        Column("excess", "double", "value minus baseline."),
        Column("excess_low", "double", "Lower end of the difference's confidence interval, row by row."),
        Column("excess_high", "double", "Upper end of the difference's confidence interval."),
        Column("holdout", "double", "Metric of this model version on its holdout; null when unknown."),
        Column("rows", "long", "Scored rows.", nullable=False),
        Column("landed_rows", "long", "Scored rows whose outcome has landed, with or without a label.", nullable=False),
        Column("labelled_rows", "long", "Scored rows with a label.", nullable=False),
        Column("verdict", "string", "estimated, judged or not_judged.", nullable=False),
        Column("reason", "string", "Why it is not judged; null otherwise."),
        Column("judged_on", "date", "Night whose run judged it or tried to; null before."),
        Column("model_version", "string", "Version that scored; several are separated by commas.",
               nullable=False),
        Column("dag_run_id", "string", "Airflow run that judged or estimated it.", nullable=False),
    ),
)  # fmt: skip
COUNTS_TABLE = TableSchema(
    name="monitoring/performance_counts",
    comment="Counts and sums of judged nights' rows; they add up over nights.",
    key=("use_case", "slice", "slice_value"),
    partition_by=("ds", "use_case"),
    columns=(
        DS,
        Column("use_case", "string", "Use case.", nullable=False),
        Column("slice", "string", "Column that defines the slices; empty for all rows.", nullable=False),
        Column("slice_value", "string", "Value of the slice; empty for all rows.", nullable=False),
        Column("judged_on", "date", "Night whose run judged it.", nullable=False),
        Column("model_version", "string", "Version that scored.", nullable=False),
        Column(
            "summary", "string", "JSON of the problem type's Summary (nightjar.monitoring.performance).", nullable=False
        ),
        Column("units", "string", "JSON of the Summary of each bucket of units; null without a declared unit."),
        Column("dag_run_id", "string", "Airflow run that judged or estimated it.", nullable=False),
    ),
)
WINDOW_NIGHTS = 28
"""Nights that are searched for the last judged ones."""
MISSING_SCORES = "no scores of this night are published"
TOO_SMALL = "fewer labelled rows than min_slice_rows"


@dataclass(frozen=True, kw_only=True)
class ScoredNight:
    """Scores of one night, with labels if it is judged.

    Attributes:
        night: The night.
        summaries: Rows by slice and value; empty when no scores are published.
        units: The same rows by bucket of units; empty without a declared unit.
        judged_on: Night whose run judges it; None for a night that is only estimated.
        model_version: Model versions that scored, separated by commas.
        baseline: The baseline's prediction, as known on the night; None when unknown.
        holdout: Metrics of the version on its holdout.
        estimates: Estimates made on the night itself, by slice, value and metric.
    """

    night: date
    summaries: Mapping[Place, Summary] = field(repr=False)
    units: Mapping[Place, Units] = field(default_factory=dict, repr=False)
    judged_on: date | None = None
    model_version: str = ""
    baseline: Baseline | None = None
    holdout: Mapping[str, float] = field(default_factory=dict)
    estimates: Mapping[tuple[str, str, str], Interval] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> int:
        """Scored rows."""
        return self.summaries[ALL].rows if ALL in self.summaries else 0

    @property
    def landed(self) -> int:
        """Rows whose outcome has landed, with a label or without."""
        return self.summaries[ALL].landed if ALL in self.summaries else 0

    @property
    def landed_share(self) -> float:
        """Share of the scored rows whose outcome has landed; 0 without rows."""
        return self.landed / self.rows if self.rows else 0.0

    def not_judged_reason(self, use_case: UseCase) -> str:
        """Return why the night cannot be judged; empty when it can."""
        min_share = use_case.monitoring.performance.min_label_share
        if not self.rows:
            return MISSING_SCORES
        if self.landed_share < min_share:
            return f"outcomes of {self.landed} of {self.rows} scores have landed, below min_label_share {min_share:g}"
        return ""


def estimate_metrics(night: ScoredNight, use_case: UseCase) -> dict[tuple[str, str, str], Interval]:
    """Estimate the night's metrics by slice and value; slices that are too small are left out."""
    declared, problem = use_case.monitoring.performance, performance_problem(use_case.problem)
    return {
        (*place, metric): interval
        for place, summary in night.summaries.items()
        if place == ALL or summary.rows >= declared.min_slice_rows
        for metric, interval in problem.estimate(summary, confidence=declared.confidence).items()
    }


def performance_rows(night: ScoredNight, use_case: UseCase, *, run_id: str) -> list[PerformanceRow]:
    """Return the night's rows of :data:`PERFORMANCE_TABLE`; judged if ``judged_on`` is set and it can be judged."""
    problem = performance_problem(use_case.problem)
    reason = night.not_judged_reason(use_case) if night.judged_on else ""
    places = {ALL, *night.summaries, *((name, value) for name, value, _ in night.estimates)}
    rows = []
    for place in sorted(places):
        summary = night.summaries.get(place, problem.merge([]))
        for metric, measured in _measure(problem, night, place, summary, reason, use_case).items():
            rows.append(_row(night, place, metric, summary, measured, use_case.name, run_id))
    return rows


def _measure(
    problem: PerformanceProblem, night: ScoredNight, place: Place, summary: Summary, reason: str, use_case: UseCase
) -> Mapping[str, Measured]:
    """Measure each metric of a slice, or give the reason why not; of an estimated night only estimated metrics."""
    declared = use_case.monitoring.performance
    if night.judged_on is None and problem.no_estimate:
        return dict.fromkeys(problem.words if place == ALL else (), Measured(reason=problem.no_estimate))
    if night.judged_on is None:
        return {metric: Measured() for metric in problem.words if (*place, metric) in night.estimates}
    too_small = place != ALL and summary.labelled < declared.min_slice_rows
    if reason := reason or (TOO_SMALL if too_small else ""):
        return dict.fromkeys(problem.words, Measured(reason=reason))
    if declared.unit is not None:
        units, baseline = night.units.get(place, {}), night.baseline
        return measure_clustered(problem, summary, units, confidence=declared.confidence, baseline=baseline)
    return problem.measure(summary, confidence=declared.confidence, baseline=night.baseline)


def _row(
    night: ScoredNight, place: Place, metric: str, summary: Summary, measured: Measured, use_case: str, run_id: str
) -> PerformanceRow:
    interval, excess, expected = measured.interval, measured.excess, night.estimates.get((*place, metric))
    return PerformanceRow(
        ds=night.night,
        use_case=use_case,
        slice=place[0],
        slice_value=place[1],
        metric=metric,
        value=interval.value if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        estimate=expected.value if expected else None,
        estimate_low=expected.low if expected else None,
        estimate_high=expected.high if expected else None,
        estimate_error=interval.value - expected.value if interval and expected else None,
        baseline=measured.baseline,
        excess=excess.value if excess else None,
        excess_low=excess.low if excess else None,
        excess_high=excess.high if excess else None,
        holdout=night.holdout.get(metric) if place == ALL else None,
        rows=summary.rows,
        landed_rows=summary.landed,
        labelled_rows=summary.labelled,
        verdict=_verdict(night, measured),
        reason=measured.reason or None,
        judged_on=night.judged_on,
        model_version=night.model_version,
        dag_run_id=run_id,
    )


def _verdict(night: ScoredNight, measured: Measured) -> Literal["estimated", "judged", "not_judged"]:
    if measured.interval:
        return "judged"
    return "estimated" if night.judged_on is None and not measured.reason else "not_judged"


def count_rows(night: ScoredNight, use_case: UseCase, *, run_id: str) -> list[CountsRow]:
    """Return the night's rows of :data:`COUNTS_TABLE`; empty when it was not judged."""
    if night.judged_on is None or night.not_judged_reason(use_case):
        return []
    return [
        CountsRow(
            ds=night.night,
            use_case=use_case.name,
            slice=name,
            slice_value=value,
            judged_on=night.judged_on,
            model_version=night.model_version,
            summary=summary.to_json(),
            units=dump_units(night.units[name, value]) if (name, value) in night.units else None,
            dag_run_id=run_id,
        )
        for (name, value), summary in sorted(night.summaries.items())
    ]


def read_performance(lake: Lake, use_case: str, nights: Iterable[date]) -> list[PerformanceRow]:
    """Read the use case's rows of ``nights``, sorted by night and key."""
    rows = lake.table(PERFORMANCE_TABLE).read_use_case(use_case, nights, PerformanceRow)
    return sorted(rows, key=lambda row: (row.ds, row.slice, row.slice_value, row.metric))


def read_counts(lake: Lake, use_case: str, nights: Iterable[date]) -> list[CountsRow]:
    """Read the counts of ``nights``, sorted by night and slice."""
    rows = lake.table(COUNTS_TABLE).read_use_case(use_case, nights, CountsRow)
    return sorted(rows, key=lambda row: (row.ds, row.slice, row.slice_value))


def stored_estimates(rows: Iterable[PerformanceRow]) -> dict[date, dict[tuple[str, str, str], Interval]]:
    """Return the estimates made on each night, from its rows."""
    stored: dict[date, dict[tuple[str, str, str], Interval]] = {}
    for row in rows:
        if row.estimated is not None:
            stored.setdefault(row.ds, {})[row.slice, row.slice_value, row.metric] = row.estimated
    return stored


def performance_findings(lake: Lake, use_case: UseCase, night: date) -> list[Finding]:
    """Return the findings of the night that ``night`` has judged; empty when it judged none."""
    judged = night - timedelta(days=use_case.matured_after_nights)
    window = [judged - timedelta(days=i) for i in range(WINDOW_NIGHTS)]
    nights = judged_nights(read_performance(lake, use_case.name, window), night)
    if judged not in nights or all(row.judged_on != night for row in nights[judged].values()):
        return []
    link = lake.report_uri(use_case.name, night, "performance")
    return find_problems(list(nights.values()), use_case, night=night, link=link)


def judged_nights(rows: Iterable[PerformanceRow], night: date) -> dict[date, dict[str, PerformanceRow]]:
    """Return the rows by metric, without slices, of each night judged by ``night``, oldest first."""
    by_night: dict[date, dict[str, PerformanceRow]] = {}
    for row in rows:
        if not row.slice and row.judged_on is not None and row.judged_on <= night:
            by_night.setdefault(row.ds, {})[row.metric] = row
    return {ds: by_night[ds] for ds in sorted(by_night) if _is_judged(by_night[ds])}


def _is_judged(rows: Mapping[str, PerformanceRow]) -> bool:
    return any(row.verdict == "judged" for row in rows.values())
