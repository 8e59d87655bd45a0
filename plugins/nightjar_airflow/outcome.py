"""Turn a program's result into the task's outcome: asset events, XCom and failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from nightjar.protocol.job import JobResult
from nightjar.protocol.results import PromoteResult, ReactResult

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context


RETRAIN = "retrain/"
"""Prefix of the assets ``retrain/<use_case>``, whose events start a training."""


def raise_for(result: JobResult) -> None:
    """Fail the task when the program failed; Airflow retries it only when the result is retryable."""
    if result.status == "succeeded":
        return
    raise (AirflowException if result.retryable else AirflowFailException)(result.error)


def emit_assets(context: Context, outlets: list[Asset], result: JobResult, nights: tuple[str, str]) -> None:
    """Attach nights, Delta version or promoted model version to each outlet's asset event.

    Args:
        context: Airflow's context.
        outlets: The operator's own list. Airflow emits an event for each entry, so the model is removed when the
            champion stays, and the retrain asset when no training is requested.
        result: Result of the program.
        nights: First and last night.
    """
    if isinstance(result, PromoteResult) and not result.promoted:
        outlets.clear()
    if isinstance(result, ReactResult) and not result.retrain.request:
        outlets[:] = [outlet for outlet in outlets if not outlet.name.startswith(RETRAIN)]
    for outlet in outlets:
        extra: dict[str, Any] = {"first_night": nights[0], "last_night": nights[1]}
        if isinstance(result, PromoteResult):
            extra |= {"model_version": result.model_version}
        elif isinstance(result, ReactResult) and outlet.name.startswith(RETRAIN):
            extra |= {"reason": result.retrain.reason}
        else:
            extra |= {"rows": result.rows_out, "delta_version": result.outputs.get(outlet.name)}
        context["outlet_events"][outlet].extra = extra


def summary(result: JobResult) -> dict[str, Any]:
    """Return the part of a result worth showing in XCom; the full result is in the lake."""
    return {
        "rows_in": result.rows_in,
        "rows_out": result.rows_out,
        "rows_rejected": result.rows_rejected,
        "outputs": dict(result.outputs),
        "metrics": dict(result.metrics),
    }
