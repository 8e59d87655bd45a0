"""Bring an error that was raised inside a Spark task back to the driver as what it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from nightjar.contracts import errors
from nightjar.contracts.errors import NightjarError, StorageFullError

_RAISED = re.compile(
    r"nightjar\.contracts\.errors\.(?P<name>\w+): (?P<what>.*) \| where: (?P<where>.*) "
    r"\| how many: (?P<how_many>\d{1,18}) \| do: (?P<fix>.*)"
)


@contextmanager
def from_workers() -> Iterator[None]:
    """Raise the :class:`NightjarError` of a failed Spark task, and a full scratch disk of Spark as one.

    Spark itself reports both as a page of its own stack traces.
    """
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        text = str(error)
        if raised := _RAISED.search(text):
            kind = getattr(errors, raised["name"], NightjarError)
            raise kind(
                raised["what"], where=raised["where"], how_many=int(raised["how_many"]), fix=raised["fix"]
            ) from error
        if "No space left on device" in text:
            raise StorageFullError(
                "no space left for Spark's shuffle and cache files",
                where="spark.local.dir",
                fix="free space there or set SPARK_LOCAL_DIRS to a larger volume, then clear the task",
            ) from error
        raise
