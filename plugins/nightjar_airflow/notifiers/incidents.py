"""Tell people what `react` has found: each incident once when it opens, once when it is over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from nightjar.lake import files
from nightjar.protocol.alerts import Notice, Told, to_tell
from nightjar.settings.environment import Settings
from nightjar_airflow.notifiers.addresses import run_page, with_pages
from nightjar_airflow.notifiers.channels import send_alerts
from nightjar_airflow.notifiers.state import read_state

if TYPE_CHECKING:
    from airflow.sdk import Context


def notify_incidents(use_case: str, notices: Sequence[Notice], night: date, context: Context) -> None:
    """Say what is new on ``night``, and keep in the lake what people know now.

    Killed between telling and keeping, it tells once more. What no channel has taken is told first by the next run.
    """
    told, run = read_told(use_case), context["dag_run"]
    new, known = to_tell(told, notices, night)
    texts = (*told.untold, *(f"{with_pages(text)} | page: {run_page(run.dag_id, run.run_id)}" for text in new))
    if texts and not send_alerts(list(texts), context):
        known = replace(known, untold=texts)
    files.write_text(_state(use_case), json.dumps(known.to_document()))


def read_told(use_case: str) -> Told:
    """What people know of a use case's incidents."""
    return read_state(_state(use_case), Told.of) or Told()


def _state(use_case: str) -> str:
    return f"{Settings.from_environment().lake}/monitoring/_told/{use_case}.json"
