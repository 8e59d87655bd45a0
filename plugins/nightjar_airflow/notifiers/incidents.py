"""Notifications of incidents: one when an incident opens, one when it is resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from nightjar.lake import files
from nightjar.monitoring.incidents.notifications import NotificationState, notifications_due
from nightjar.protocol.documents import dump_json
from nightjar.protocol.incidents import Notification
from nightjar.settings.environment import Settings
from nightjar_airflow.notifiers.addresses import run_page, with_pages
from nightjar_airflow.notifiers.channels import send_alerts
from nightjar_airflow.notifiers.state import read_state

if TYPE_CHECKING:
    from airflow.sdk import Context


def notify_incidents(use_case: str, notifications: Sequence[Notification], night: date, context: Context) -> None:
    """Send the notifications due for ``night``, and store in the lake what was sent.

    A task that is killed between sending and storing sends them once more. Texts that no channel accepted are sent
    first by the next run.
    """
    state, run = read_notification_state(use_case), context["dag_run"]
    due, new_state = notifications_due(state, notifications, night)
    texts = (*state.unsent, *(f"{with_pages(text)} | page: {run_page(run.dag_id, run.run_id)}" for text in due))
    if texts and not send_alerts(list(texts), context):
        new_state = replace(new_state, unsent=texts)
    files.write_text(_state_file(use_case), dump_json(new_state))


def read_notification_state(use_case: str) -> NotificationState:
    """Return the notifications sent for a use case's incidents."""
    return read_state(_state_file(use_case), NotificationState) or NotificationState()


def _state_file(use_case: str) -> str:
    return f"{Settings.from_environment().lake}/monitoring/_notified/{use_case}.json"
