"""What happens when a night is not done in time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


async def night_is_late(dag_id: str, minutes: int, context: Mapping[str, Any] | None = None) -> None:
    """Say in the triggerer's log that a scheduled night has missed its deadline.

    A night of the past that somebody backfills or triggers is late by nature: nothing is said of it.

    Args:
        dag_id: The DAG.
        minutes: Its deadline, minutes after its scheduled time.
        context: Airflow's context; ``dag_run`` is the run as its API shows it.
    """
    run = (context or {}).get("dag_run") or {}
    if run.get("run_type") not in {None, "scheduled"}:
        return
    log.error(
        "%s is late: run %s was not done %d minutes after its time | where: %s | how many: 1 run | "
        "do: open the run's grid and read the running task's log (docs/runbooks/late_night.md)",
        dag_id,
        run.get("dag_run_id", "?"),
        minutes,
        dag_id,
    )
