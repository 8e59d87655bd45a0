"""What a task says of a program's result: links, asset events, and the one line of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from nightjar.protocol.job import JobResult

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context


RETRAIN = "retrain/"
"""Assets of this name, ``retrain/<use_case>``, start a training."""


def raise_for(result: JobResult) -> None:
    """Fail the task when the program failed: at once, or with Airflow's retries where another try may help."""
    if result.status == "succeeded":
        return
    raise (AirflowException if result.retryable else AirflowFailException)(result.error)


def emit_assets(context: Context, outlets: list[Asset], result: JobResult, nights: tuple[str, str]) -> None:
    """Say on each outlet's asset event which nights were written, at which Delta version, or which model was promoted.

    Args:
        context: Airflow's context.
        outlets: The operator's own list: without the model when the champion stays, and without the request when no
            training is asked for, since Airflow emits an event for each in it.
        result: What the program did.
        nights: First and last night.
    """
    if result.values.get("promoted") is False:
        outlets.clear()
    retrain: dict[str, Any] = result.values.get("retrain", {})
    if retrain and not retrain["request"]:
        outlets[:] = [outlet for outlet in outlets if not outlet.name.startswith(RETRAIN)]
    for outlet in outlets:
        extra: dict[str, Any] = {"first_night": nights[0], "last_night": nights[1]}
        if "promoted" in result.values:
            extra |= {"model_version": result.values["model_version"]}
        elif outlet.name.startswith(RETRAIN):
            extra |= {"reason": retrain["reason"]}
        else:
            extra |= {"rows": result.rows_out, "delta_version": result.outputs.get(outlet.name)}
        context["outlet_events"][outlet].extra = extra


def summary(result: JobResult) -> dict[str, Any]:
    """The small part of a result that is worth a look in XCom; the outcome itself is in the lake."""
    return {
        "rows_in": result.rows_in,
        "rows_out": result.rows_out,
        "rows_rejected": result.rows_rejected,
        "outputs": dict(result.outputs),
        "metrics": dict(result.metrics),
    }
