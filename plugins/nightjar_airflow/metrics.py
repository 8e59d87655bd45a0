"""Metrics of a program's result, sent through Airflow's exporter (``[metrics]``: StatsD or OpenTelemetry)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.metrics import METRICS, TAGS
from nightjar.settings.prices import Prices
from nightjar_airflow.usage import Usage

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)
SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")
PUBLISHING = "publish_scores"


def emit(context: Context, use_case: UseCase, spec: JobSpec, result: JobResult, usage: Callable[[], Usage]) -> None:
    """Send the metrics of ``result``, succeeded or failed, to Airflow's exporter; nothing when no exporter is on.

    Errors are only logged: metrics never fail a task.

    Args:
        context: Airflow's context.
        use_case: The use case.
        spec: Spec of the program.
        result: Result of the program.
        usage: Returns the resources held by the program; called only when an exporter is on.
    """
    try:
        if not any(conf.getboolean("metrics", switch) for switch in SWITCHES):
            return
        values = _of_result(result, usage())
        if context["dag_run"].run_type != "backfill":  # nights of a backfill are not the current state
            values |= _of_night(context, use_case, spec, result)
            values |= {
                metric.name: result.metrics[metric.source]
                for metric in METRICS
                if metric.source in result.metrics and spec.program in metric.programs
            }
        map_index = -1 if spec.map_index is None else spec.map_index
        tags = dict(zip(TAGS, (use_case.name, spec.program, spec.dag_id, str(map_index)), strict=True))
        for metric in METRICS:
            if math.isfinite(values.get(metric.name, math.nan)):
                stats.gauge(metric.stat, values[metric.name], tags=tags)
    except Exception as error:
        log.warning("no metrics of %s: %s: %s", spec.task_id, type(error).__name__, error)


def _of_result(result: JobResult, usage: Usage) -> dict[str, float]:
    seconds = result.seconds.get("total", sum(result.seconds.values()))
    values: dict[str, float] = {"succeeded": float(result.status == "succeeded"), "seconds": seconds}
    hours = {"cpu_hours": usage.cpus * seconds / 3600, "gpu_hours": usage.gpus * seconds / 3600}
    prices = Prices.from_environment()
    cost = {"cost": prices.cost(**hours)} if prices else {}
    if result.status != "succeeded":
        return values | hours | cost
    rows: dict[str, float] = {name: getattr(result, name) for name in ("rows_in", "rows_out", "rows_rejected")}
    speed = {"rows_per_second": result.rows_in / seconds} if seconds > 0 else {}
    return values | hours | cost | rows | speed


def _of_night(context: Context, use_case: UseCase, spec: JobSpec, result: JobResult) -> dict[str, float]:
    """Return when a night was published; how late only for scheduled runs, as manual runs are late anyway."""
    if spec.program != PUBLISHING or result.status != "succeeded":
        return {}
    end = spec.nights(use_case.schedule.timezone).prediction_moment(spec.last_night)
    values = {"published_night_end_timestamp_seconds": end.timestamp()}
    run = context["dag_run"]
    if run.run_type == "scheduled" and run.data_interval_end is not None:
        late = datetime.now(UTC) - run.data_interval_end
        values |= {
            "published_after_minutes": late.total_seconds() / 60,
            "deadline_minutes": use_case.schedule.deadline_minutes,
        }
    return values
