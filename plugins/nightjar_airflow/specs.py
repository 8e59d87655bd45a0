"""Build a JobSpec from an Airflow context: nights, params, run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk.exceptions import AirflowSkipException

from nightjar.declaration.scoring import CHAMPION_NOW
from nightjar.declaration.use_case import UseCase
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.job import JobSpec, run_folder
from nightjar.protocol.nights import Nights
from nightjar.settings.environment import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import DagRunProtocol as DagRun


def build_spec(
    context: Context, use_case: UseCase, program: str, *, world_size: int = 1, threads_per_rank: int = 1
) -> JobSpec:
    """Return the spec of this task for the nights of :func:`nights_of_run`, which raises."""
    nights = nights_of_run(context, use_case)
    run, params = context["dag_run"], dict(context["params"])
    return JobSpec(
        program=program,
        use_case=use_case.name,
        first_night=nights.first,
        last_night=nights.last,
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=context["ti"].task_id,
        map_index=map_index(context),
        lake=Settings.from_environment().lake,
        params={
            "model_version": params.get("model_version"),
            "model_policy": params.get("model_policy", CHAMPION_NOW),
            "force": params.get("force", False),
            "interval_given": _given_interval(params) is not None,
        },
        world_size=world_size,
        threads_per_rank=threads_per_rank,
    )


def nights_of_run(context: Context, use_case: UseCase) -> Nights:
    """Return the nights of the params, otherwise the run's own nights.

    Raises:
        ConfigurationError: for an unknown param, or an invalid interval.
        AirflowSkipException: for a scheduled run of a night after the use case's last one (a replayed history that has
            ended). A manual run continues, and fails where data are missing.
    """
    run = context["dag_run"]
    _refuse_unknown({*context["params"], *(run.conf or {})}, known=context["dag"].params)
    first, last = _given_interval(context["params"]) or own_nights(run, use_case.schedule.timezone)
    if run.run_type == "scheduled":
        last = _until_last_night(use_case, first, last)
    return Nights(first=first, last=last, timezone=use_case.schedule.timezone)


def map_index(context: Context) -> int | None:
    """Return the index of a mapped task instance; None for a task that is not mapped (-1 in Airflow)."""
    index = context["ti"].map_index
    return None if index is None or index < 0 else index


def run_dir(context: Context) -> str:
    """Return the folder of this DAG run in the lake."""
    run = context["dag_run"]
    return run_folder(Settings.from_environment().lake, run.dag_id, run.run_id)


def own_nights(run: DagRun, timezone: str) -> tuple[date, date]:
    """Return the first and last night of a run: those of its data interval.

    The data interval of a scheduled run begins when the run before was due, so runs in sequence have each night once: a
    weekly run has seven, one of business days has those of the weekend on the first. A run without a data interval has
    the last night that had ended at ``run_after``.
    """
    if run.data_interval_start is None:
        night = run.run_after.astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)
        return night, night
    first = run.data_interval_start.astimezone(ZoneInfo(timezone)).date()
    if run.data_interval_end is None:
        return first, first
    before_end = run.data_interval_end.astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)
    return first, max(first, before_end)


def day_due(context: Context, timezone: str) -> date:
    """Return the local day on which the run's work was due: the run's day, or the day after a given interval."""
    try:
        given = _given_interval(context["params"])
    except ConfigurationError:  # the task fails with this error itself
        given = None
    if given:
        return given[1] + timedelta(days=1)
    return context["dag_run"].run_after.astimezone(ZoneInfo(timezone)).date()


def _until_last_night(use_case: UseCase, first: date, last: date) -> date:
    """Return the last night of a run that the sources have; a run without such nights is skipped."""
    known = use_case.schedule.last_night
    if known is None:
        return last
    if first > known:
        raise AirflowSkipException(
            f"the sources of {use_case.name} end with night {known}: nothing to do for {first}. "
            "Trigger the DAG with interval_start and interval_end to run a night of the record"
        )
    return min(last, known)


def _refuse_unknown(names: set[str], *, known: Iterable[str]) -> None:
    unknown = sorted(names - set(known))
    if unknown:
        raise ConfigurationError(
            f"unknown param {', '.join(unknown)}",
            where="the run's params",
            how_many=len(unknown),
            fix=f"use only {', '.join(sorted(known))}",
        )


def _given_interval(params: Mapping[str, Any]) -> tuple[date, date] | None:
    """Return the nights given in the params; None for the run's own night."""
    start, end = params.get("interval_start"), params.get("interval_end")
    if start and end:
        return _date(start, "interval_start"), _date(end, "interval_end")
    if start or end:
        given, missing = ("interval_start", "interval_end") if start else ("interval_end", "interval_start")
        raise ConfigurationError(
            f"{given} is given without {missing}", where=missing, fix="give both dates, or none for the run's own night"
        )
    return None


def _date(text: str, field: str) -> date:
    try:
        night = date.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{field} {text!r:.100} is not a date", where=field, fix="write it as YYYY-MM-DD"
        ) from error
    if not date.min < night < date.max:  # computations need the days before and after
        raise ConfigurationError(f"{field} {text} is out of range", where=field, fix="give a night that has landed")
    return night
