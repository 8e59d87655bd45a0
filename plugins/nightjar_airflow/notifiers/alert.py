"""Alerts for failed tasks: one per incident, not one per night."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from airflow.sdk.bases.notifier import BaseNotifier

from nightjar.lake import files
from nightjar.monitoring.incidents.notifications import REMIND_NIGHTS
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import NightjarError
from nightjar.protocol.names import path_segment
from nightjar.settings.environment import Settings
from nightjar.settings.secrets import redacted
from nightjar_airflow.notifiers.addresses import task_page
from nightjar_airflow.notifiers.channels import send_alerts
from nightjar_airflow.notifiers.state import read_state
from nightjar_airflow.specs import day_due, map_index

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)
_NO_ERROR = "its process ended without an error: it was killed or could not start; check memory and disk"


@dataclass(frozen=True, kw_only=True)
class Failing:
    """A task that fails in run after run for the same cause.

    Attributes:
        cause: The error without its figures, as an identifier.
        first_run: First failed run.
        last_run: Latest failed run.
        last_due: Day on which the latest failed run was due.
        notified_due: Day on which the last notified run was due.
        runs: Number of failed runs.
        map_indexes: Failing instances of a mapped task; (None,) for a task that is not mapped.
    """

    cause: str
    first_run: str
    last_run: str
    last_due: date
    notified_due: date
    runs: int = 1
    map_indexes: tuple[int | None, ...] = ()

    def with_failure(self, run_id: str, due: date, index: int | None) -> Failing:
        """Return the state after another failure."""
        runs = self.runs + (run_id != self.last_run)
        if due < self.last_due:
            return replace(self, runs=runs)
        return replace(self, last_run=run_id, last_due=due, runs=runs, map_indexes=(*self.others(index), index))

    def with_success(self, due: date, index: int | None) -> Failing | None:
        """Return the state after a success; None when all failed instances have succeeded.

        A run for an earlier day, cleared or triggered by a person, does not count for the latest.
        """
        if due < self.last_due:
            return self
        left = self.others(index)
        return replace(self, map_indexes=left) if left else None

    def others(self, index: int | None) -> tuple[int | None, ...]:
        """Return the other failing instances."""
        return tuple(other for other in self.map_indexes if other != index)

    def needs_reminder(self, due: date) -> bool:
        """Return whether the last notification is old enough for a reminder."""
        return due - self.notified_due >= timedelta(days=REMIND_NIGHTS)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The notified failures of a task, one for each cause."""

    failing: tuple[Failing, ...] = ()


class _TaskNotifier(BaseNotifier):
    """Base of the notifiers for the end of one task.

    Args:
        timezone: Time zone of the runs' days.
    """

    def __init__(self, timezone: str) -> None:
        super().__init__()
        self.timezone = timezone


class AlertNotifier(_TaskNotifier):
    """``on_failure_callback`` that alerts when a task starts to fail, or fails for a new cause.

    While the failure lasts, a reminder is sent every :data:`REMIND_NIGHTS` days. The state is in the lake, with one
    file per task and another for its backfills, as a succeeded old night says nothing about tonight. Two runs that fail
    at the same time may both alert. No alert is lost: when the state cannot be read, or no channel accepts the alert,
    it is sent again.
    """

    def notify(self, context: Context) -> None:
        """Send an alert, unless it was sent on an earlier run."""
        why = redacted(str(context.get("exception") or _NO_ERROR))
        run_id, due, index = context["dag_run"].run_id, day_due(context, self.timezone), map_index(context)
        known, cause = _known(context), _cause(why)
        others = [failing for failing in known if failing.cause != cause]
        earlier = next((failing for failing in known if failing.cause == cause), None)
        if earlier is None:
            opened = Failing(
                cause=cause, first_run=run_id, last_run=run_id, last_due=due, notified_due=due, map_indexes=(index,)
            )
            if send_alerts([f"NEW {_text(context, why)}"], context):
                _keep(context, [*others, opened])
            return
        failing = earlier.with_failure(run_id, due, index)
        since = f"failing since run {failing.first_run}, in {failing.runs} runs"
        if not failing.needs_reminder(due):
            log.warning("%s; already notified", since)
        elif send_alerts([f"STILL OPEN {_text(context, why)} | {since}"], context):
            failing = replace(failing, notified_due=due)
        _keep(context, [*others, failing])


class RecoveryNotifier(_TaskNotifier):
    """``on_success_callback`` that reports when a failing task succeeds."""

    def notify(self, context: Context) -> None:
        """Send the resolution, if :class:`AlertNotifier` has sent an alert."""
        known = _known(context)
        if not known:
            return
        run, task = context["dag_run"], context["ti"].task_id
        remaining = [failing.with_success(day_due(context, self.timezone), map_index(context)) for failing in known]
        failed_runs = sum(failing.runs for failing in known)
        if any(remaining) or send_alerts(
            [
                f"RESOLVED {run.dag_id}, task {task}: succeeded after {failed_runs} failed run(s), "
                f"the first {known[0].first_run} | run: {run.run_id} | page: {_page(context)}"
            ],
            context,
        ):
            _keep(context, [failing for failing in remaining if failing])


def _known(context: Context) -> list[Failing]:
    """Return the notified failures of this task; empty when the lake does not answer."""
    try:
        state = read_state(_state(context), _Known)
        return list(state.failing) if state else []
    except NightjarError as error:
        log.warning("the notifications sent for this task cannot be read: %s", error)
        return []


def _keep(context: Context, known: list[Failing]) -> None:
    try:
        if known:
            files.write_text(_state(context), dump_json(_Known(failing=tuple(known))))
        else:
            files.delete_file(_state(context))
    except NightjarError as error:
        log.warning("the notification of this task is not stored and may be sent again: %s", error)


def _state(context: Context) -> str:
    run, task = context["dag_run"], path_segment(context["ti"].task_id)
    folder = f"{Settings.from_environment().lake}/monitoring/_failures/{path_segment(run.dag_id)}"
    return f"{folder}/{'backfill/' if run.run_type == 'backfill' else ''}{task}.json"


def _cause(why: str) -> str:
    """Return the error without figures, dates and paths that differ from night to night."""
    return re.sub(r"\d[\d.,:%-]*", "#", why.split(" | ")[0])


def _text(context: Context, why: str) -> str:
    """Return what failed, why, and links."""
    run = context["dag_run"]
    return f"{run.dag_id}, task {context['ti'].task_id}: {why} | run: {run.run_id} | page: {_page(context)}"


def _page(context: Context) -> str:
    run = context["dag_run"]
    return task_page(run.dag_id, run.run_id, context["ti"].task_id)
