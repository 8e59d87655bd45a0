"""Judge nights whose labels have matured, and estimate the current night from its scores alone.

Spark counts. The results are stored in ``monitoring/performance`` and shown on two pages per night: the judged night,
and the last seven judged nights, pooled. A night that cannot be judged is reported as such.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import files
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.monitoring.performance.holdout import read_holdout_metrics
from nightjar.monitoring.performance.pages import Pages
from nightjar.monitoring.performance.problem import Baseline
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.report import render, render_week
from nightjar.monitoring.performance.report_data import PerformanceReport
from nightjar.monitoring.performance.rows import PerformanceRow
from nightjar.monitoring.performance.table import (
    ALL,
    COUNTS_TABLE,
    PERFORMANCE_TABLE,
    ScoredNight,
    count_rows,
    estimate_metrics,
    performance_rows,
    read_counts,
    read_performance,
    stored_estimates,
)
from nightjar.monitoring.performance.wording import headline, verdict
from nightjar.monitoring.reporting.origin import ReportOrigin
from nightjar.protocol.errors import GateError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import first_few
from nightjar.protocol.results import NightPerformance, ReportPerformanceResult
from nightjar.settings.environment import Settings
from nightjar_spark.main import main
from nightjar_spark.performance_counts import Counted, count_baselines, count_nights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)
HISTORY_NIGHTS = 90
"""Earlier nights on the pages of a judged night."""


def run(spark: SparkSession, spec: JobSpec) -> ReportPerformanceResult:
    """For each night of ``spec``: judge the night ``matured_after_nights`` earlier, and estimate the night itself.

    A judged night whose scores are published again is judged again, with the same labels: the table always describes
    the published scores.

    Raises:
        GateError: when a night of ``spec`` has no published scores.
        LakeError: when the table of scores or of labels does not exist.
    """
    return report_performance(spark, spec, load_use_case(spec.use_case))


def report_performance(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> ReportPerformanceResult:
    """:func:`run` for a given use case."""
    lake = Lake(spec.lake)
    started = time.monotonic()
    nights = list(spec.nights(use_case.schedule.timezone))
    inputs = _input_versions(lake, use_case)
    stored = read_performance(lake, use_case.name, _window(nights, use_case))
    judged = _to_judge(lake, use_case, nights, inputs, stored)
    baselines = count_baselines(spark, lake, use_case, inputs, sorted({*judged, *nights}))
    counted = count_nights(spark, lake, use_case, inputs, judged=judged, fresh=nights, baselines=baselines)
    _check_scored(use_case, [night for night in nights if night not in counted])
    scored = _scored(lake, use_case, nights, judged, counted, baselines, stored)
    done = time.monotonic()
    outputs, rows = _replace(spec, use_case, scored)
    pages = _write_pages(spec, use_case, nights, judged, inputs)
    last = pages[nights[-1]]
    return ReportPerformanceResult(
        rows_in=rows,
        rows_out=rows,
        inputs=inputs,
        outputs=outputs,
        metrics=_metrics(scored, last),
        last=_night_result(last),
        nights={night: _night_result(report) for night, report in pages.items()},
        links={
            "report": _uri(spec, nights[-1], "performance"),
            "performance": _uri(spec, nights[-1], "performance"),
            "performance_week": _uri(spec, nights[-1], "performance_week"),
        },
        seconds={"count": round(done - started, 3), "judge_and_write": round(time.monotonic() - done, 3)},
    )


def _check_scored(use_case: UseCase, missing: Sequence[date]) -> None:
    if missing:
        raise GateError(
            f"no scores of {first_few(missing)} are published",
            where=use_case.score_table.name,
            how_many=len(missing),
            fix="clear the tasks score to publish_scores of these nights",
        )


def _input_versions(lake: Lake, use_case: UseCase) -> dict[str, int]:
    names = [use_case.score_table.name, use_case.label_table.name]
    if not set(use_case.monitoring.performance.slices) <= set(use_case.score_table.column_names):
        names.append(use_case.feature_table.name)
    return {name: int(lake.open_table(name).version()) for name in names}


def _window(nights: Sequence[date], use_case: UseCase) -> list[date]:
    """Return the nights of the run, those that they judge, and earlier ones for their pages."""
    first = nights[0] - timedelta(days=use_case.matured_after_nights + HISTORY_NIGHTS)
    return [first + timedelta(days=i) for i in range((nights[-1] - first).days + 1)]


def _to_judge(
    lake: Lake,
    use_case: UseCase,
    nights: Sequence[date],
    inputs: Mapping[str, int],
    stored: Sequence[PerformanceRow],
) -> dict[date, date]:
    """Return each scored night to judge with the night whose run judges it: newly matured and already judged ones.

    Nights before the first scored night are left out.
    """
    table = lake.table(use_case.score_table).open(inputs[use_case.score_table.name])
    scored = {date.fromisoformat(file.partition["ds"]) for file in active_files(table, {})}
    first = max(use_case.schedule.first_night, min(scored, default=date.max))
    wait = timedelta(days=use_case.matured_after_nights)
    horizon = timedelta(days=use_case.target.label_horizon_nights)  # a night judged with a shorter one has no labels
    judged = {
        row.ds: row.judged_on
        for row in stored
        if row.ds in nights and row.judged_on and row.judged_on - row.ds >= horizon
    }
    return {**judged, **{night - wait: night for night in nights if night - wait >= first}}


def _scored(
    lake: Lake,
    use_case: UseCase,
    nights: Sequence[date],
    judged: Mapping[date, date],
    counted: Mapping[date, Counted],
    baselines: Mapping[date, Baseline],
    stored: Sequence[PerformanceRow],
) -> list[ScoredNight]:
    """Return each night's scores with estimates: new ones for nights of this run, stored ones for others."""
    holdouts = read_holdout_metrics(lake, use_case.name, performance_problem(use_case.problem))
    stored_by_night = stored_estimates(stored)
    scored = []
    for night in sorted({*judged, *nights}):
        counts = counted.get(night, Counted(summaries={}, units={}, versions=()))
        scored_night = ScoredNight(
            night=night,
            summaries=counts.summaries,
            units=counts.units,
            judged_on=judged.get(night),
            model_version=",".join(counts.versions),
            baseline=baselines.get(night),
            holdout=holdouts.get(counts.versions[0], {}) if len(counts.versions) == 1 else {},
            estimates=stored_by_night.get(night, {}),
        )
        if night in nights:
            scored_night = replace(scored_night, estimates=estimate_metrics(scored_night, use_case))
        scored.append(scored_night)
    return scored


def _replace(spec: JobSpec, use_case: UseCase, scored: Sequence[ScoredNight]) -> tuple[dict[str, int], int]:
    """Replace the nights in both tables; return the new versions and the number of rows."""
    lake, nights = Lake(spec.lake), [scored_night.night for scored_night in scored]
    outputs, total = {}, 0
    for table, rows_of in ((COUNTS_TABLE, count_rows), (PERFORMANCE_TABLE, performance_rows)):
        rows = [row for scored_night in scored for row in rows_of(scored_night, use_case, run_id=spec.run_id)]
        outputs[table.name] = lake.table(table).replace(rows, nights, use_case=use_case.name, run_id=spec.run_id)
        total += len(rows)
    return outputs, total


def _write_pages(
    spec: JobSpec, use_case: UseCase, nights: Sequence[date], judged: Mapping[date, date], inputs: Mapping[str, int]
) -> dict[date, PerformanceReport]:
    lake = Lake(spec.lake)
    window = _window(nights, use_case)
    pages = Pages(
        use_case=use_case,
        rows=read_performance(lake, use_case.name, window),
        counts=read_counts(lake, use_case.name, window),
        origin=ReportOrigin(
            git_commit=Settings.from_environment().git_commit, run_id=spec.run_id, table_versions=inputs
        ),
    )
    by_judge = {on: night for night, on in judged.items()}
    reports = {}
    for night in nights:
        uri = _uri(spec, night, "performance")
        reports[night] = report = pages.of_night(night, by_judge.get(night), link=uri)
        files.write_text(uri, render(report))
        week = _uri(spec, night, "performance_week")
        files.write_text(week, render_week(pages.of_week(night, link=week)))
        log_page = log.warning if report.state == "not_judged" or report.findings else log.info
        log_page("%s judges %s. %s: %s %s", night, report.judged_night, verdict(report), headline(report), uri)
    return reports


def _uri(spec: JobSpec, night: date, page: str) -> str:
    return Lake(spec.lake).report_uri(spec.use_case, night, page)


def _night_result(report: PerformanceReport) -> NightPerformance:
    return NightPerformance(
        verdict=report.state,
        judged_night=report.judged_night,
        summary=f"{verdict(report)}: {headline(report)}",
        findings=tuple(finding.subject for finding in report.findings),
    )


def _metrics(scored: Sequence[ScoredNight], report: PerformanceReport) -> dict[str, float]:
    """Return the metrics that the last night judged, and its estimate of the monitored one."""
    name = report.problem.monitored.name
    judged, estimated = report.whole, report.estimated.get(name)
    metrics = {
        name: judged.value if judged else None,
        f"{name}_low": judged.low if judged else None,
        f"{name}_high": judged.high if judged else None,
        f"estimated_{name}": estimated.estimate if estimated else None,
        **{name: report.figures[name].value for name in ("log_loss", "expected_cost") if name in report.figures},
    }
    for night in scored:
        if night.night == report.judged_night and night.rows:
            exactness = report.problem.accuracy_of_counts(night.summaries[ALL])
            metrics |= {"label_share": night.landed_share, **exactness}
    return {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}


if __name__ == "__main__":
    main(run)
