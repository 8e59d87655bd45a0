"""Make a failed task's last log line say what, where, how many and what to do, without a stack trace."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.log import mask_secret

from nightjar.protocol.errors import NightjarError
from nightjar.settings.secrets import secrets_of
from nightjar_airflow import ledger
from nightjar_airflow.specs import map_index, own_nights

if TYPE_CHECKING:
    from airflow.sdk import Context

    from nightjar.declaration.use_case import UseCase


def one_line_failure(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate ``execute`` of an operator with a ``use_case``.

    A Nightjar error is recorded in the ledger and becomes Airflow's exception, without our frames in the traceback. A
    failed program has written its own result and event, and raises Airflow's exception directly.
    """

    @wraps(execute)
    def wrapper(operator: Any, context: Context, *args: Any, **kwargs: Any) -> Any:
        for secret in secrets_of():
            mask_secret(secret)  # also in logs of libraries and in tracebacks
        try:
            return execute(operator, context, *args, **kwargs)
        except NightjarError as error:
            _to_ledger(operator.use_case, context, error)
            failure = AirflowException if error.retryable else AirflowFailException
            raise failure(str(error)).with_traceback(None) from None

    return wrapper


def _to_ledger(use_case: UseCase, context: Context, error: NightjarError) -> None:
    run = context["dag_run"]
    ledger.record(
        "failure",
        use_case=use_case.name,
        night=own_nights(run, use_case.schedule.timezone)[1],  # not from the params, which may be the error
        reason=str(error),
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=context["ti"].task_id,
        details={"kind": error.kind, **({} if (index := map_index(context)) is None else {"map_index": index})},
    )
