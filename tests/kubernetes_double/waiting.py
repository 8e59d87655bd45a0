"""Wait for another process."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any


def eventually(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until something holds, and return it."""
    deadline = monotonic() + seconds
    while not (found := true()):
        assert monotonic() < deadline, "it never came"
        sleep(0.02)
    return found
