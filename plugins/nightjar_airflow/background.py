"""Run a coroutine from code that a signal may interrupt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class BackgroundCoroutine:
    """A coroutine in an event loop of its own thread, so that a signal handler can run another one meanwhile.

    Args:
        work: The coroutine.
    """

    def __init__(self, work: Coroutine[Any, Any, Result]) -> None:
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, timeout_seconds: float | None = None) -> Any:
        """Wait for the coroutine, and return its result or raise its error.

        Raises:
            TimeoutError: when it does not end in time.
        """
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = asyncio.run(self._work)
        except BaseException as error:
            self._error = error
