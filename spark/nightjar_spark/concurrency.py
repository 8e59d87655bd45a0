"""Run small Spark queries concurrently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

_MAX_CONCURRENT = 3
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def run_concurrently(spark: SparkSession, work: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out]:
    """Return ``work`` of every item, in order; planning one query overlaps running another."""
    with ThreadPoolExecutor(max_workers=_MAX_CONCURRENT, thread_name_prefix="nightjar") as pool:
        return list(pool.map(inheritable_thread_target(spark)(work), items))
