"""``make backfill``: an Airflow backfill of a range of nights, resumed after an interruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from nightjar.declaration.use_case import UseCase
from nightjar.local import plan, results, summary
from nightjar.local.follow import Request, RunFailedError
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.session import any_servers
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights


def backfill(paths: Paths, use_case: UseCase, first: str, last: str) -> None:
    """Run an Airflow backfill of a range of nights; skip nights that succeeded before.

    An interrupted backfill is resumed.

    Raises:
        RunFailedError: when a night failed or was not run.
    """
    begin, end = plan.parse_nights(use_case, first, last)
    dag_id = plan.dag_ids(use_case)[2]
    with Progress() as progress, any_servers(paths, progress) as session:
        session.follower.wait_parsed((dag_id,))
        moments = {
            plan.run_moment(use_case, night): night
            for night in Nights(first=begin, last=end, timezone=use_case.schedule.timezone)
        }
        first_last = min(moments), max(moments)
        session.follower.take_up(dag_id, *first_last)
        if not is_open(session.api.latest_backfill(dag_id), use_case, first_last):
            session.api.create_backfill(dag_id, *first_last)
        runs = session.follower.wait_backfill(dag_id, *first_last)
        report(paths, progress, dag_id, by_night(runs, moments))


def is_open(backfill: Mapping[str, Any] | None, use_case: UseCase, first_last: tuple[datetime, datetime]) -> bool:
    """Return whether the DAG's latest backfill covers exactly this range and is not complete.

    Raises:
        ConfigurationError: when a backfill of another range is open; Airflow allows one per DAG.
    """
    if backfill is None or backfill["completed_at"]:
        return False
    moments = tuple(datetime.fromisoformat(backfill[name]) for name in ("from_date", "to_date"))
    if moments == first_last:
        return True
    first, last = (moment.astimezone(ZoneInfo(use_case.schedule.timezone)).date() for moment in moments)
    raise ConfigurationError(
        f"the backfill of the nights {first} to {last} is open",
        where=backfill["dag_id"],
        fix=f"complete it with `make backfill USE_CASE={use_case.name} FROM={first} TO={last}`, "
        "or cancel it in Airflow",
    )


def by_night(
    runs: Sequence[Mapping[str, Any]], moments: Mapping[datetime, date]
) -> dict[date, Mapping[str, Any] | None]:
    """Return the run of each night by logical date; None for a night without a run."""
    by_date = {datetime.fromisoformat(run["logical_date"]): run for run in runs}
    return {night: by_date.get(moment) for moment, night in moments.items()}


def report(paths: Paths, progress: Progress, dag_id: str, runs: Mapping[date, Mapping[str, Any] | None]) -> None:
    """Show the outcomes of the nights that succeeded.

    Raises:
        RunFailedError: when a night failed or has no run.
    """
    succeeded = {night: run["dag_run_id"] for night, run in runs.items() if run and run["state"] == "success"}
    outcomes = [
        results.night_outcome(paths.lake, Request(title="", dag_id=dag_id, run_id=run_id), night)
        for night, run_id in succeeded.items()
    ]
    if outcomes:
        progress.say(summary.nights_table(outcomes))
    if failed := [f"{night}{'' if runs[night] else ' (has no run)'}" for night in runs if night not in succeeded]:
        raise RunFailedError(f"{len(failed)} of {len(runs)} nights failed: {', '.join(failed)}; see {paths.logs}")
