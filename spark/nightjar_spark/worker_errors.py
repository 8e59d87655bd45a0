"""Convert errors of Spark tasks on the driver into the errors that the tasks raised."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from nightjar.code_places import place_of
from nightjar.protocol import errors
from nightjar.protocol.errors import ContractError, NightjarError, StorageFullError

_DATA_EXCEPTION = re.compile(r"SQLSTATE: 22\w{3}\b")
_SQL = re.compile(r"^== SQL .*\n(?P<sql>.*)$", re.MULTILINE)
_RAISED = re.compile(
    rf"{re.escape(errors.__name__)}\.(?P<name>\w+): (?P<what>.*) \| where: (?P<where>.*) "
    r"\| how many: (?P<how_many>\d{1,18}) \| do: (?P<fix>.*)"
)


@contextmanager
def from_workers() -> Iterator[None]:
    """Raise the :class:`NightjarError` of a failed Spark task, and convert two of Spark's own errors into one.

    These are a full scratch disk, and a value for which an expression cannot be computed (SQLSTATE class 22), which a
    retry does not solve. Spark reports them as a page of stack traces.
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
        if _DATA_EXCEPTION.search(text):
            raise _cannot_compute(error, text) from error
        raise


def _cannot_compute(error: Exception, text: str) -> ContractError:
    sql = _SQL.search(text)
    message = text[max(text.find("["), 0) :].splitlines()[0]
    return ContractError(
        message + (f" in the SQL {sql['sql'].strip()!r}" if sql else ""),
        where=place_of(error),
        fix="make the value null with a try_ function (try_divide, try_cast, try_to_date), or reject its row with a "
        "rule of the source, then clear the task",
    )
