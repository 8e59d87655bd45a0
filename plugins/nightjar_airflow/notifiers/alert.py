"""Tell people that a task has failed: once for each incident, not once for each night."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.notifier import BaseNotifier

from nightjar.lake import files
from nightjar.monitoring.incidents.notifications import REMIND_NIGHTS
from nightjar.protocol.documents import check_fields
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
_NO_ERROR = "its process ended without an error: it was killed or could not start; see that memory and disk suffice"


@dataclass(frozen=True, kw_only=True)
class Failing:
    """A task that fails, run after run, for the same cause.

    Attributes:
        cause: The error without its figures, by which it is told from another.
        first_run: Run in which it began.
        last_run: The latest run in which it failed.
        last_due: Day on which that was due (YYYY-MM-DD).
        told_due: That of the run of which people were told last.
        runs: In how many so far.
        map_indexes: Which of a mapped task's instances fail; (None,) of a task that is not mapped.
    """

    cause: str
    first_run: str
    last_run: str
    last_due: str
    told_due: str
    runs: int = 1
    map_indexes: tuple[int | None, ...] = ()

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Failing:
        """Out of the JSON that :func:`dataclasses.asdict` gave."""
        failing = cls(**{**document, "map_indexes": tuple(document["map_indexes"])})
        check_fields(failing)
        for day in (failing.last_due, failing.told_due):
            date.fromisoformat(day)
        return failing

    def again(self, run_id: str, due: date, index: int | None) -> Failing:
        """It, after one more failure."""
        runs = self.runs + (run_id != self.last_run)
        if due.isoformat() < self.last_due:
            return replace(self, runs=runs)
        return replace(
            self, last_run=run_id, last_due=due.isoformat(), runs=runs, map_indexes=(*self.others(index), index)
        )

    def without(self, due: date, index: int | None) -> Failing | None:
        """It, after a success; None when it is over: all that failed have succeeded.

        A run for an earlier day, cleared or made by somebody, says nothing of the latest.
        """
        if due.isoformat() < self.last_due:
            return self
        left = self.others(index)
        return replace(self, map_indexes=left) if left else None

    def others(self, index: int | None) -> tuple[int | None, ...]:
        """The other instances that fail."""
        return tuple(one for one in self.map_indexes if one != index)

    def needs_reminder(self, due: date) -> bool:
        """Whether people were told so long ago that they are told again."""
        return due - date.fromisoformat(self.told_due) >= timedelta(days=REMIND_NIGHTS)


class _TaskNotifier(BaseNotifier):
    """Of one task's end.

    Args:
        timezone: In which runs have their days.
    """

    def __init__(self, timezone: str) -> None:
        super().__init__()
        self.timezone = timezone


class AlertNotifier(_TaskNotifier):
    """For ``on_failure_callback``: alerts when a task begins to fail, or fails for another cause than before.

    While that lasts, people are told again every :data:`REMIND_NIGHTS` days. What it knows lies in the lake, a file a
    task, and another for its backfills: an old night that succeeds says nothing of tonight's. Two runs that fail at
    once may both alert. None is lost: where the file cannot be read, or no channel takes the alert, it alerts again.
    """

    def notify(self, context: Context) -> None:
        """Say it, unless it was said on an earlier run."""
        why = redacted(str(context.get("exception") or _NO_ERROR))
        run_id, due, index = context["dag_run"].run_id, day_due(context, self.timezone), map_index(context)
        known, cause = _known(context), _cause(why)
        others = [one for one in known if one.cause != cause]
        before = next((one for one in known if one.cause == cause), None)
        if before is None:
            day = due.isoformat()
            began = Failing(
                cause=cause, first_run=run_id, last_run=run_id, last_due=day, told_due=day, map_indexes=(index,)
            )
            if send_alerts([f"NEW {_text(context, why)}"], context):
                _keep(context, [*others, began])
            return
        failing = before.again(run_id, due, index)
        since = f"failing since run {failing.first_run}, in {failing.runs} runs"
        if not failing.needs_reminder(due):
            log.warning("%s; people know", since)
        elif send_alerts([f"STILL OPEN {_text(context, why)} | {since}"], context):
            failing = replace(failing, told_due=due.isoformat())
        _keep(context, [*others, failing])


class RecoveryNotifier(_TaskNotifier):
    """For ``on_success_callback``: says that a task which failed does no more."""

    def notify(self, context: Context) -> None:
        """Say it, where :class:`AlertNotifier` has said that it fails."""
        known = _known(context)
        if not known:
            return
        run, task = context["dag_run"], context["ti"].task_id
        left = [one.without(day_due(context, self.timezone), map_index(context)) for one in known]
        if any(left) or send_alerts(
            [
                f"RESOLVED {run.dag_id}, task {task}: succeeded after {sum(one.runs for one in known)} failed run(s), "
                f"the first {known[0].first_run} | run: {run.run_id} | page: {_page(context)}"
            ],
            context,
        ):
            _keep(context, [one for one in left if one])


def _known(context: Context) -> list[Failing]:
    """The causes that people were told of; none where the lake cannot say."""
    try:
        return read_state(_state(context), lambda document: [Failing.from_document(one) for one in document]) or []
    except NightjarError as error:
        log.warning("what people were told of this task cannot be read: %s", error)
        return []


def _keep(context: Context, known: list[Failing]) -> None:
    try:
        if known:
            files.write_text(_state(context), json.dumps([asdict(one) for one in known]))
        else:
            files.delete_file(_state(context))
    except NightjarError as error:
        log.warning("what people were told of this task is not kept, and may be told again: %s", error)


def _state(context: Context) -> str:
    run, task = context["dag_run"], path_segment(context["ti"].task_id)
    folder = f"{Settings.from_environment().lake}/monitoring/_failures/{path_segment(run.dag_id)}"
    return f"{folder}/{'backfill/' if run.run_type == 'backfill' else ''}{task}.json"


def _cause(why: str) -> str:
    """What is wrong, without the figures, dates and paths that differ from night to night."""
    return re.sub(r"\d[\d.,:%-]*", "#", why.split(" | ")[0])


def _text(context: Context, why: str) -> str:
    """What failed, why, and where to look."""
    run = context["dag_run"]
    return f"{run.dag_id}, task {context['ti'].task_id}: {why} | run: {run.run_id} | page: {_page(context)}"


def _page(context: Context) -> str:
    run = context["dag_run"]
    return task_page(run.dag_id, run.run_id, context["ti"].task_id)
