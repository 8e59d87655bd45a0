"""Errors of Spark tasks and a full scratch disk become Nightjar errors on the driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from nightjar.protocol import errors
from nightjar.protocol.errors import ModelError, NightjarError, StorageFullError
from nightjar_spark.worker_errors import from_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NightjarError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_nightjar_error_is_raised_again_on_the_driver(spark: SparkSession, kind: type[NightjarError]) -> None:
    def fail(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise kind("what | is wrong", where="s3://a/b c", how_many=3, fix="do this: that")
        yield from batches

    with pytest.raises(NightjarError) as caught, from_workers():
        spark.range(1).mapInArrow(fail, "id long").collect()
    error = caught.value
    assert type(error) is kind
    assert (error.what, error.where, error.how_many, error.fix) == ("what | is wrong", "s3://a/b c", 3, "do this: that")


def test_full_scratch_disk_is_reported(spark: SparkSession) -> None:
    def fail(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise OSError("No space left on device")
        yield from batches

    with pytest.raises(StorageFullError, match="SPARK_LOCAL_DIRS"), from_workers():
        spark.range(1).mapInArrow(fail, "id long").collect()


def test_errors_of_the_driver_pass_through() -> None:
    with pytest.raises(ModelError), from_workers():
        raise ModelError("x", where="y", fix="z")
