"""Alerts for late nights: when a night is late, a reminder each week, and when a night is in time again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from nightjar.declaration.use_case import UseCase
from nightjar.lake import files
from nightjar.monitoring.incidents.notifications import REMIND_NIGHTS
from nightjar.protocol.documents import dump_json
from nightjar.settings.environment import Settings
from nightjar_airflow import ledger
from nightjar_airflow.notifiers.addresses import run_page
from nightjar_airflow.notifiers.channels import send_alerts
from nightjar_airflow.notifiers.state import read_state

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Since:
    """A series of late nights.

    Attributes:
        first: First late night.
        last_notified: Late night of the last notification.
    """

    first: date
    last_notified: date


async def night_is_late(use_case: str, timezone: str, minutes: int, context: Mapping[str, Any]) -> None:
    """Log, record and notify that a scheduled night has missed its deadline.

    Args:
        use_case: The use case.
        timezone: Time zone of the use case.
        minutes: Deadline in minutes after the scheduled time.
        context: Airflow's context; ``dag_run`` is the run as in its API.
    """
    run = context["dag_run"]
    reason = (
        f"{run['dag_id']} is late: run {run['dag_run_id']} was not done {minutes} minutes after its time | "
        f"where: {run['dag_id']} | how many: 1 run | "
        "do: open the run's grid and read the running task's log (docs/runbooks/late_night.md)"
    )
    log.error(reason)
    night = datetime.fromisoformat(run["data_interval_start"]).astimezone(ZoneInfo(timezone)).date()
    event = {"reason": reason, "dag_id": run["dag_id"], "run_id": run["dag_run_id"]}
    await asyncio.to_thread(ledger.record, "late", use_case=use_case, night=night, **event)
    text = f"{reason} | page: {run_page(run['dag_id'], run['dag_run_id'])}"
    await asyncio.to_thread(_notify_late, use_case, night, text, cast("Context", context))


def night_in_time(use_case: UseCase, context: Context) -> None:
    """Send the resolution when nights were reported late and this scheduled one is in time."""
    run, since = context["dag_run"], _since(use_case.name)
    if since is None or run.data_interval_end is None:
        return
    if datetime.now(UTC) > run.data_interval_end + timedelta(minutes=use_case.schedule.deadline_minutes):
        return
    text = f"RESOLVED {run.dag_id} was late since the night {since.first}: run {run.run_id} is in time"
    if send_alerts([text], context):
        files.delete_file(_state(use_case.name))


def _notify_late(use_case: str, night: date, reason: str, context: Context) -> None:
    since = _since(use_case)
    if since is None:
        first, text = night, f"NEW {reason}"
    else:
        first, last = since.first, since.last_notified
        if (night - last).days < REMIND_NIGHTS:
            log.warning("late since the night %s; last notified for %s", first, last)
            return
        text = f"STILL LATE since the night {first}: {reason}"
    if send_alerts([text], context):
        files.write_text(_state(use_case), dump_json(_Since(first=first, last_notified=night)))


def _since(use_case: str) -> _Since | None:
    """Return the series of late nights that was notified; None while nights are in time."""
    return read_state(_state(use_case), _Since)


def _state(use_case: str) -> str:
    return f"{Settings.from_environment().lake}/monitoring/_late/{use_case}.json"
