"""Tell people that a task has failed: once for each incident, not once for each night."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from airflow.sdk import conf
from airflow.sdk.bases.notifier import BaseNotifier

from nightjar.contracts.names import path_segment
from nightjar.contracts.settings import Settings
from nightjar.lake import files
from nightjar_airflow.notifiers.channels import tell

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failing:
    """A task that fails, run after run, for the same cause.

    Attributes:
        cause: The error without its figures, by which it is told from another.
        first_run: Run in which it began.
        last_run: Run in which it failed last.
        runs: In how many so far.
    """

    cause: str
    first_run: str
    last_run: str
    runs: int = 1


class AlertNotifier(BaseNotifier):
    """For ``on_failure_callback``: alerts when a task begins to fail, or fails for another cause than before.

    What it knows lies in the lake, ``monitoring/_failures/<dag>/<task>.json``. Two runs that fail at once may both
    alert; none is lost.
    """

    def notify(self, context: Context) -> None:
        """Say it, unless it was said on an earlier run."""
        why = str(context.get("exception") or "no reason given")
        run_id, cause = context["dag_run"].run_id, _cause(why)
        known = _known(context)
        if known is not None and known.cause == cause:
            if known.last_run != run_id:
                known = replace(known, last_run=run_id, runs=known.runs + 1)
                files.write_text(_state(context), json.dumps(asdict(known)))
            log.warning("still failing since run %s, %d runs; people were told then", known.first_run, known.runs)
            return
        tell(_text(context, why), context)
        files.write_text(_state(context), json.dumps(asdict(Failing(cause, run_id, run_id))))


class RecoveryNotifier(BaseNotifier):
    """For ``on_success_callback``: says that a task which failed does no more."""

    def notify(self, context: Context) -> None:
        """Say it, where :class:`AlertNotifier` has said that it fails."""
        known = _known(context)
        if known is None:
            return
        run, task = context["dag_run"], context["ti"].task_id
        tell(
            f"RESOLVED {run.dag_id}, task {task}: succeeded after {known.runs} failed run(s) | run: {run.run_id}",
            context,
        )
        files.delete_file(_state(context))


def _known(context: Context) -> Failing | None:
    try:
        return Failing(**json.loads(files.read_text(_state(context))))
    except FileNotFoundError:
        return None


def _state(context: Context) -> str:
    dag, task = context["dag_run"].dag_id, context["ti"].task_id
    return f"{Settings.from_environment().lake}/monitoring/_failures/{path_segment(dag)}/{path_segment(task)}.json"


def _cause(why: str) -> str:
    """What is wrong, without the figures, dates and paths that differ from night to night."""
    return re.sub(r"\d[\d.,:%-]*", "#", why.split(" | ")[0])


def _text(context: Context, why: str) -> str:
    """What failed, why, and where to look."""
    run, task = context["dag_run"], context["ti"].task_id
    page = f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{run.dag_id}/runs/{run.run_id}/tasks/{task}"
    return f"{run.dag_id}, task {task}: {why} | run: {run.run_id} | page: {page}"
