"""Log the progress of a long Spark job over rows."""

from __future__ import annotations

import logging
import threading
import time

from pyspark import SparkContext

log = logging.getLogger(__name__)
EVERY_SECONDS = 10.0


class RowsDone:
    """Log finished rows, rows per second and seconds left every ten seconds within a ``with`` block.

    Args:
        context: Creates the accumulator.
        total: Number of rows.

    Attributes:
        counter: Accumulator to which tasks add rows; Spark updates it when a task has finished.
    """

    def __init__(self, context: SparkContext, *, total: int) -> None:
        self.counter = context.accumulator(0)
        self._total = total
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._report, name="rows done", daemon=True)

    def __enter__(self) -> RowsDone:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _report(self) -> None:
        began = time.monotonic()
        while not self._over.wait(EVERY_SECONDS):
            speed = self.counter.value / (time.monotonic() - began)
            left = f"{(self._total - self.counter.value) / speed:.0f} s left" if speed else "no task has finished yet"
            log.info("%d of %d rows, %.0f rows/s, %s", self.counter.value, self._total, speed, left)
