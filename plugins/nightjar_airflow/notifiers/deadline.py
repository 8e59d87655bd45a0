"""What happens when a night is not done in time."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


async def night_is_late(dag_id: str, minutes: int, context: dict[str, object] | None = None) -> None:
    """Say in the triggerer's log that a run has missed its deadline.

    Args:
        dag_id: The DAG.
        minutes: Its deadline, minutes after it was queued.
        context: Airflow's context of the run; its id is named when it is there.
    """
    run = (context or {}).get("dag_run")
    run_id = run.get("dag_run_id", "?") if isinstance(run, dict) else "?"
    log.error(
        "%s is late: run %s was not done %d minutes after it was queued | where: %s | how many: 1 run | "
        "do: open the run's grid, read the running task's log (docs/runbooks/late_night.md)",
        dag_id, run_id, minutes, dag_id,
    )  # fmt: skip
