"""How long each phase of a program took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Note in ``seconds`` how long the block took, wall clock, when it ends well."""
    started = time.monotonic()
    yield
    seconds[phase] = round(time.monotonic() - started, 3)
