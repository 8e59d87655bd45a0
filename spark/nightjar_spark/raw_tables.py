"""The raw rows that features and labels of nights are made from: those nights, and the history before them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.nights import Nights
from nightjar_spark.io import read_table


def with_history(use_case: UseCase, nights: Nights) -> list[date]:
    """The nights, and those before them that their features look at."""
    return list(replace(nights, first=nights.first - timedelta(days=use_case.history_nights)))


def read_raw(
    spark: SparkSession, lake: str, use_case: UseCase, nights: Nights, versions: Mapping[str, int]
) -> dict[str, DataFrame]:
    """Source name to its rows of the nights and of their history.

    Args:
        spark: Reads.
        lake: URI of the lake.
        use_case: Whose sources.
        nights: What is to be built.
        versions: Name of each raw table to the version of it that is read.
    """
    wanted = with_history(use_case, nights)
    return {
        source.name: read_table(spark, lake, source.table.name, nights=wanted, version=versions[source.table.name])
        for source in use_case.sources
    }
