"""Measure the duration of a program's phases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Store the wall-clock seconds of the block in ``seconds[phase]`` unless it raises."""
    started = time.monotonic()
    yield
    seconds[phase] = round(time.monotonic() - started, 3)
