"""Trigger a run, follow it to its end, and report why it failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from nightjar.local.airflow_api import AirflowApi, Task
from nightjar.local.progress import Progress
from nightjar.protocol.errors import UnreachableError

POLL_SECONDS = 1.0
PARSE_SECONDS = 120
FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class RunFailedError(Exception):
    """A DAG run failed; if one of its tasks did, the message ends with the last log line of it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A requested run.

    Attributes:
        title: Text of the progress line.
        dag_id: DAG id.
        run_id: Equal for equal work, so that nothing is done twice.
        conf: Params of the run.
        interval: Data interval (UTC) of a night; None for a run without one.
    """

    title: str
    dag_id: str
    run_id: str
    conf: Mapping[str, Any] = field(default_factory=dict)
    interval: tuple[datetime, datetime] | None = None


class Follower:
    """Runs requests to their end, one after the other.

    Args:
        api: The Airflow server.
        progress: Shows the current state.
        check: Raises when a server has died.
        fresh: Whether the servers have just started, so that a run shown as running was interrupted.
    """

    def __init__(self, api: AirflowApi, progress: Progress, check: Callable[[], None], *, fresh: bool) -> None:
        self._api = api
        self._progress = progress
        self._check = check
        self._fresh = fresh

    def wait_parsed(self, dag_ids: tuple[str, ...]) -> None:
        """Wait until the DAGs are parsed, and unpause them.

        Raises:
            UnreachableError: when a DAG file cannot be imported, with the import error; or when a DAG is not parsed
                within :data:`PARSE_SECONDS`.
        """
        deadline = time.monotonic() + PARSE_SECONDS
        for dag_id in dag_ids:
            while not self._api.has_dag(dag_id):
                self._check()
                errors = self._api.import_errors()
                if errors or time.monotonic() > deadline:
                    raise UnreachableError(
                        f"Airflow has no DAG {dag_id}: {'; '.join(errors) or 'not parsed in time'}",
                        where="dags/",
                        how_many=max(1, len(errors)),
                        fix="correct the DAG file, see var/airflow/logs/dag_processor",
                    )
                self._progress.now(f"parsing {dag_id}")
                time.sleep(POLL_SECONDS)
            self._api.unpause(dag_id)

    def find(self, request: Request) -> Request:
        """Return the request with the id of the run that already has its logical date (scheduled or backfill), if any.

        Airflow allows one run per logical date, so the night could not be triggered under another id.
        """
        if request.interval is None:
            return request
        moment = request.interval[0]
        runs = self._api.runs_between(request.dag_id, moment, moment)
        return replace(request, run_id=str(runs[0]["dag_run_id"])) if runs else request

    def ensure(self, request: Request, *, again: bool = False) -> bool:
        """Bring a run to success: trigger it, follow a running one, or clear a failed or interrupted one.

        Args:
            request: The requested run.
            again: Whether to clear a succeeded run as well.

        Returns:
            False when it had succeeded before, and nothing was done.

        Raises:
            RunFailedError: with the last log line of the failed task.
        """
        state = self._api.run_state(request.dag_id, request.run_id)
        if state == "success" and not again:
            return False
        if state is None:
            self._api.trigger(request.dag_id, request.run_id, conf=request.conf, interval=request.interval)
        elif self._fresh or state in {"success", "failed"}:
            self._api.clear(request.dag_id, request.run_id)
        self.wait(request)
        return True

    def wait(self, request: Request) -> None:
        """Follow a run to its end.

        Raises:
            RunFailedError: with the last log line of the failed task.
        """
        reported: set[tuple[str, int]] = set()
        while (state := self._api.run_state(request.dag_id, request.run_id)) not in {"success", "failed"}:
            self._check()
            tasks = self._api.tasks(request.dag_id, request.run_id)
            for task in tasks:
                if task.state == "up_for_retry" and (task.task_id, task.try_number) not in reported:
                    reported.add((task.task_id, task.try_number))
                    reason = self._api.last_log_line(request.dag_id, request.run_id, task)
                    self._progress.say(f"  {task.task_id} failed and will be retried: {reason}")
            self._progress.now(*describe(request.title, tasks))
            time.sleep(POLL_SECONDS)
        if state == "failed":
            raise self._failure(request)

    def take_up(self, dag_id: str, first: datetime, last: datetime) -> None:
        """Clear the runs from ``first`` to ``last`` that were interrupted when earlier servers stopped."""
        if self._fresh:
            for run in self._api.runs_between(dag_id, first, last):
                if run["state"] == "running":
                    self._api.clear(dag_id, run["dag_run_id"])

    def wait_backfill(self, dag_id: str, first: datetime, last: datetime) -> list[dict[str, Any]]:
        """Follow the DAG's latest backfill until it is complete and all runs from ``first`` to ``last`` have ended.

        Returns:
            These runs, as returned by Airflow.
        """
        while True:
            self._check()
            backfill = self._api.latest_backfill(dag_id)
            runs = self._api.runs_between(dag_id, first, last)
            active = [run["dag_run_id"] for run in runs if run["state"] in {"queued", "running"}]
            if not active and (backfill is None or backfill["completed_at"]):
                return runs
            for run_id in self._api.running(dag_id)[:1]:
                self._progress.now(*describe(run_id, self._api.tasks(dag_id, run_id)))
            time.sleep(POLL_SECONDS)

    def _failure(self, request: Request) -> RunFailedError:
        failed = [task for task in self._api.tasks(request.dag_id, request.run_id) if task.state == "failed"]
        if not failed:
            return RunFailedError(f"{request.title} failed, and no task says why: {request.dag_id} / {request.run_id}")
        reason = self._api.last_log_line(request.dag_id, request.run_id, failed[0])
        return RunFailedError(f"{request.title} failed in task {failed[0].task_id}: {reason}")


def describe(title: str, tasks: list[Task], at: datetime | None = None) -> tuple[str, str]:
    """Describe what is running, e.g. ``night 2013-04-01: score`` and ``12 s, 5 of 10 tasks done``."""
    at = at or datetime.now(UTC)
    running = [task for task in tasks if task.state == "running" and task.started]
    waiting = [f"{task.task_id}, to be retried" for task in tasks if task.state == "up_for_retry"]
    names = ", ".join([task.task_id for task in running] + waiting)
    seconds = [f"{(at - task.started).total_seconds():.0f} s" for task in running if task.started]
    done = sum(task.state in FINISHED for task in tasks)
    return f"{title}: {names or 'between tasks'}", ", ".join([*seconds, f"{done} of {len(tasks)} tasks done"])
