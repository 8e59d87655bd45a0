"""A red task's last log line says what, where, how many and what to do; a stack trace would hide it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from nightjar.contracts.errors import NightjarError


def one_line_failure(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate ``execute``: what is ours to say becomes Airflow's exception without the traceback of our own frames."""

    @wraps(execute)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return execute(*args, **kwargs)
        except NightjarError as error:
            failure = AirflowException if error.retryable else AirflowFailException
            raise failure(str(error)).with_traceback(None) from None

    return wrapper
