"""What happens when a night is not done in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from nightjar_airflow import ledger
from nightjar_airflow.notifiers.channels import tell

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


async def night_is_late(use_case: str, timezone: str, minutes: int, context: Mapping[str, Any]) -> None:
    """Say in the triggerer's log, in the ledger and to people that a scheduled night has missed its deadline.

    Args:
        use_case: The use case.
        timezone: Its time zone.
        minutes: Its deadline, minutes after its scheduled time.
        context: Airflow's context; ``dag_run`` is the run as its API shows it.
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
    await asyncio.to_thread(tell, [reason], cast("Context", context))
