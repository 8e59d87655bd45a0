"""Raw rows from which features and labels are built: those of the nights and of their history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession

from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.protocol.nights import Nights
from nightjar_spark.io import read_table


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
        use_case: Declares the sources.
        nights: The nights to build.
        versions: Raw table name to the version to read.
    """
    history = with_history(use_case, nights)
    return {
        source.name: read_table(spark, lake, source.table.name, nights=history, version=versions[source.table.name])
        for source in use_case.data.sources
    }
