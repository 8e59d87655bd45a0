"""Say now and then how far a long Spark job over rows has come."""

from __future__ import annotations

import logging
import threading
import time

from pyspark import SparkContext

log = logging.getLogger(__name__)
EVERY_SECONDS = 10.0


class RowsDone:
    """While entered, logs rows done, rows a second and seconds left every ten seconds.

    Args:
        context: Whose tasks count.
        total: Rows to do.

    Attributes:
        counter: Accumulator to which tasks add rows; the driver learns of them when a task is over.
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
            left = f"{(self._total - self.counter.value) / speed:.0f} s left" if speed else "no task is over yet"
            log.info("%d of %d rows, %.0f rows/s, %s", self.counter.value, self._total, speed, left)
