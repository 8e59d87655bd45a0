"""What a task says of a program's result: links, asset events, and the one line of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from nightjar.contracts.job import JobResult

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context


def raise_for(result: JobResult) -> None:
    """Fail the task when the program failed: at once, or with Airflow's retries where another try may help."""
    if result.status == "succeeded":
        return
    raise (AirflowException if result.retryable else AirflowFailException)(result.error)


def emit_assets(context: Context, outlets: list[Asset], result: JobResult, nights: tuple[str, str]) -> None:
    """Say on each outlet's asset event which nights were written, and at which Delta version."""
    for outlet in outlets:
        event = context["outlet_events"][outlet]
        event.extra = {
            "first_night": nights[0],
            "last_night": nights[1],
            "delta_version": result.outputs.get(outlet.name),
            "rows": result.rows_out,
        }


def summary(result: JobResult) -> dict[str, Any]:
    """The small part of a result that is worth a look in XCom; the outcome itself is in the lake."""
    return {
        "rows_in": result.rows_in,
        "rows_out": result.rows_out,
        "rows_rejected": result.rows_rejected,
        "outputs": dict(result.outputs),
        "metrics": dict(result.metrics),
    }
