"""Features and labels of arrival delays: those of ``flight_delay``, with the minutes as label."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nightjar.protocol.nights import Nights
from use_cases.arrival_delay.use_case import RAW, USE_CASE
from use_cases.flight_delay import features as flights


def build_features(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the features of the flights scheduled on the day after each night."""
    return flights.build_features(_as_flights(tables), nights)


def build_labels(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the arrival delay of the flights of each night's own day."""
    key = list(USE_CASE.key)
    minutes = tables[f"{RAW}flights"].select(
        "ds", *(F.col(name) for name in key if name != "flight_date"), F.col("arr_delay").alias("minutes")
    )
    labels = flights.build_labels(_as_flights(tables), nights).drop("label")
    joined = labels.join(minutes, on=["ds", *(name for name in key if name != "flight_date")], how="left")
    return joined.withColumnRenamed("minutes", "label").select(*USE_CASE.label_table.column_names)


def _as_flights(tables: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    return {name.removeprefix(RAW): table for name, table in tables.items()}
