"""Raw rows from which features and labels are built: those of the nights and of their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from nightjar.declaration.data import Source
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.protocol.nights import Nights
from nightjar_spark.io import read_table

_NIGHT, _UNTIL = "_night", "_until"


def with_history(use_case: UseCase, nights: Nights) -> list[date]:
    """Return the nights and the nights of their features' history."""
    return list(replace(nights, first=nights.first - timedelta(days=use_case.data.history_nights)))


def read_raw(
    spark: SparkSession, lake: Lake, use_case: UseCase, nights: Nights, versions: Mapping[str, int]
) -> dict[str, DataFrame]:
    """Return each source's rows of the nights and of their history.

    Args:
        spark: The session.
        lake: The lake.
        use_case: Declares the sources; of snapshots the rows that are valid on each night.
        nights: The nights to build.
        versions: Raw table name to the version to read.
    """
    history = with_history(use_case, nights)

    def read(source: Source) -> DataFrame:
        name, version = source.table.name, versions[source.table.name]
        if source.snapshot:
            return valid_rows(spark, read_table(spark, lake, name, version=version), source, history)
        return read_table(spark, lake, name, nights=history, version=version)

    return {source.name: read(source) for source in use_case.data.sources}


def valid_rows(spark: SparkSession, landed: DataFrame, source: Source, nights: Sequence[date]) -> DataFrame:
    """Return the rows of a snapshot that are valid on each night, with that night as ``ds``.

    Args:
        spark: The session.
        landed: All rows of the raw table.
        source: A snapshot.
        nights: The nights.
    """
    if source.snapshot is None:
        raise ValueError(f"{source.name} is not a snapshot")
    known = landed.where(F.col("ds") <= F.lit(max(nights)))
    if source.snapshot.holds == "all":
        files = known.select("ds").distinct()
        ends = files.withColumn(_UNTIL, F.lead("ds").over(Window.orderBy("ds")))
        rows = known.join(F.broadcast(ends), "ds")
    else:
        rows = known.withColumn(_UNTIL, F.lead("ds").over(Window.partitionBy(*source.table.key).orderBy("ds")))
    of_nights = spark.createDataFrame([(night,) for night in nights], f"{_NIGHT} date")
    is_valid = (F.col("ds") <= F.col(_NIGHT)) & (F.col(_UNTIL).isNull() | (F.col(_NIGHT) < F.col(_UNTIL)))
    valid = rows.join(F.broadcast(of_nights), is_valid)
    return valid.withColumn("ds", F.col(_NIGHT)).select(*landed.columns)
