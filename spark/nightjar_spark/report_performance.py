"""Report performance: nights whose labels have matured are judged, tonight's is estimated from its scores alone.

Counted in Spark, stored in ``monitoring/performance``, shown on two pages a night: the night judged, and the last seven
judged nights together. A night that cannot be judged is said to be so; it is never called good.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import delta, files
from nightjar.lake.held_files import held_files
from nightjar.monitoring.nightly_rows import replace_rows
from nightjar.monitoring.performance.holdout import holdout_metrics
from nightjar.monitoring.performance.metrics import tie_error
from nightjar.monitoring.performance.pages import Pages
from nightjar.monitoring.performance.report import PerformanceReport, render, render_week
from nightjar.monitoring.performance.table import (
    COUNTS_TABLE,
    PERFORMANCE_TABLE,
    ScoredNight,
    count_rows,
    estimates,
    kept_estimates,
    performance_rows,
    read_rows,
)
from nightjar.monitoring.performance.wording import headline, verdict
from nightjar.protocol.errors import GateError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.nights import first_few
from nightjar.settings.environment import Settings
from nightjar_spark.main import main
from nightjar_spark.performance_counts import Counted, count_nights, naive_rates

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)
HISTORY_NIGHTS = 90
"""Nights before a judged one that its pages look back on."""


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """For each night N of ``spec``, whose scores are published: judge the night ``matured_after_nights`` before, and
    estimate N itself.

    A night that was judged already and is scored anew is judged again, with the labels that it was judged by: what the
    table says of a night always speaks of its published scores.

    Raises:
        GateError: when a night of ``spec`` has no published scores.
        LakeError: when there is no table of scores or of labels.
    """
    return report_performance(spark, spec, load_use_case(spec.use_case))


def report_performance(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> JobResult:
    """:func:`run` for a given use case."""
    started = time.monotonic()
    nights = list(spec.nights(use_case.timezone))
    inputs = _input_versions(spec, use_case)
    stored = read_rows(spec.lake, PERFORMANCE_TABLE, use_case.name, _window(nights, use_case))
    judged = _to_judge(spec, use_case, nights, inputs, stored)
    counted = count_nights(spark, spec.lake, use_case, inputs, judged=judged, fresh=nights)
    _check_scored(use_case, [night for night in nights if night not in counted])
    known = {*judged, *nights}
    rates = naive_rates(spark, spec.lake, use_case, inputs, sorted(known))
    scored = _scored(spec, use_case, nights, judged, counted, rates, stored)
    done = time.monotonic()
    outputs, rows = _replace(spec, use_case, scored)
    pages = _write_pages(spec, use_case, nights, judged, inputs)
    last = pages[nights[-1]]
    return JobResult(
        status="succeeded",
        rows_in=rows,
        rows_out=rows,
        inputs=inputs,
        outputs=outputs,
        metrics=_metrics(scored, last),
        values={"nights": {str(night): _values(report) for night, report in pages.items()}, **_values(last)},
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


def _input_versions(spec: JobSpec, use_case: UseCase) -> dict[str, int]:
    names = [use_case.score_table.name, use_case.label_table.name]
    if not set(use_case.performance.slices) <= set(use_case.score_table.column_names):
        names.append(use_case.feature_table.name)
    return {name: int(delta.open_table(spec.lake, name).version()) for name in names}


def _window(nights: Sequence[date], use_case: UseCase) -> list[date]:
    """The nights of a run, those that they judge, and those that their pages look back on."""
    first = nights[0] - timedelta(days=use_case.performance.matured_after_nights + HISTORY_NIGHTS)
    return [first + timedelta(days=i) for i in range((nights[-1] - first).days + 1)]


def _to_judge(
    spec: JobSpec,
    use_case: UseCase,
    nights: Sequence[date],
    inputs: Mapping[str, int],
    stored: Sequence[Mapping[str, Any]],
) -> dict[date, date]:
    """Scored night to the night whose run judges it: those that mature now, and those of the run judged before.

    There is nothing to judge before the first night that was ever scored.
    """
    table = delta.open_table(spec.lake, use_case.score_table.name, inputs[use_case.score_table.name])
    held = {date.fromisoformat(file.partition["ds"]) for file in held_files(table, {})}
    first = max(use_case.first_night, min(held, default=date.max))
    wait = timedelta(days=use_case.performance.matured_after_nights)
    judged = {row["ds"]: row["judged_on"] for row in stored if row["ds"] in nights and row["judged_on"]}
    return {**judged, **{night - wait: night for night in nights if night - wait >= first}}


def _scored(
    spec: JobSpec,
    use_case: UseCase,
    nights: Sequence[date],
    judged: Mapping[date, date],
    counted: Mapping[date, Counted],
    rates: Mapping[date, float],
    stored: Sequence[Mapping[str, Any]],
) -> list[ScoredNight]:
    """All that is known of each night, with what was estimated on it: kept where it is no night of this run."""
    holdouts, kept = holdout_metrics(spec.lake, use_case.name), kept_estimates(stored)
    scored = []
    for night in sorted({*judged, *nights}):
        found = counted.get(night, Counted(summaries={}, versions=()))
        one = ScoredNight(
            night=night,
            summaries=found.summaries,
            judged_on=judged.get(night),
            model_version=",".join(found.versions),
            naive=rates.get(night),
            holdout=holdouts.get(found.versions[0], {}) if len(found.versions) == 1 else {},
            kept=kept.get(night, {}),
        )
        scored.append(replace(one, kept=estimates(one, use_case)) if night in nights else one)
    return scored


def _replace(spec: JobSpec, use_case: UseCase, scored: Sequence[ScoredNight]) -> tuple[dict[str, int], int]:
    """Replace the nights in both tables; their versions, and rows written."""
    nights = [one.night for one in scored]
    outputs, total = {}, 0
    for table, rows_of in ((COUNTS_TABLE, count_rows), (PERFORMANCE_TABLE, performance_rows)):
        rows = [row for one in scored for row in rows_of(one, use_case, run_id=spec.run_id)]
        outputs[table.name] = replace_rows(spec.lake, table, rows, nights, use_case=use_case.name, run_id=spec.run_id)
        total += len(rows)
    return outputs, total


def _write_pages(
    spec: JobSpec, use_case: UseCase, nights: Sequence[date], judged: Mapping[date, date], inputs: Mapping[str, int]
) -> dict[date, PerformanceReport]:
    window = _window(nights, use_case)
    pages = Pages(
        use_case=use_case,
        rows=read_rows(spec.lake, PERFORMANCE_TABLE, use_case.name, window),
        counts=read_rows(spec.lake, COUNTS_TABLE, use_case.name, window),
        shared={
            "git_commit": Settings.from_environment().git_commit,
            "run_id": spec.run_id,
            "table_versions": inputs,
        },
    )
    by_judge = {on: night for night, on in judged.items()}
    made = {}
    for night in nights:
        uri = _uri(spec, night, "performance")
        made[night] = report = pages.of_night(night, by_judge.get(night), link=uri)
        files.write_text(uri, render(report))
        week = _uri(spec, night, "performance_week")
        files.write_text(week, render_week(pages.of_week(night, link=week)))
        tell = log.warning if report.state == "not_judged" or report.findings else log.info
        tell("%s judges %s. %s: %s %s", night, report.judged_night, verdict(report), headline(report), uri)
    return made


def _uri(spec: JobSpec, night: date, page: str) -> str:
    return f"{spec.lake}/reports/{spec.use_case}/{night}/{page}.html"


def _values(report: PerformanceReport) -> dict[str, Any]:
    """A night's verdict, for whoever reads the result."""
    return {
        "verdict": report.state,
        "judged_night": str(report.judged_night) if report.judged_night else None,
        "said": f"{verdict(report)}: {headline(report)}",
        "findings": [finding.subject for finding in report.findings],
    }


def _metrics(scored: Sequence[ScoredNight], report: PerformanceReport) -> dict[str, float]:
    """Of the last night: what it has judged, and what it has estimated."""
    auc, tonight = report.figures.get("auc"), report.tonight.get("auc")
    found = {
        "auc": auc["value"] if auc else None,
        "auc_low": auc["low"] if auc else None,
        "auc_high": auc["high"] if auc else None,
        "estimated_auc": tonight["estimate"] if tonight else None,
        **{name: report.figures[name]["value"] for name in ("log_loss", "expected_cost") if name in report.figures},
    }
    for one in scored:
        if one.night == report.judged_night and one.summary.rows:
            found |= {"label_share": one.summary.landed_share, "auc_tie_error": tie_error(one.summary)}
    return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}


if __name__ == "__main__":
    main(run)
