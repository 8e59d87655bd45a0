"""Series and features of departures."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nightjar.features.horizon import recent_lags, seasonal_lags
from nightjar.protocol.nights import Nights
from use_cases.departures.use_case import FLIGHTS, HOURS, LAGS, RECENT, SEASON
from use_cases.flight_delay.sources import ORIGINS

SERIES = ("origin", "hour")


def build_series(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the departures of each airport, hour and day; 0 for hours without any."""
    flights = tables[FLIGHTS.name].withColumn("hour", F.floor(F.col("sched_dep_time") / 100).cast("int"))
    departed = flights.groupBy("ds", *SERIES).agg(F.count("dep_time").cast("double").alias("value"))
    grid = (
        flights.select("ds")
        .distinct()
        .withColumn("origin", F.explode(F.array(*map(F.lit, ORIGINS))))
        .withColumn("hour", F.explode(F.array(*map(F.lit, HOURS))))
    )
    return grid.join(departed, ["ds", *SERIES], "left").na.fill(0.0, ["value"])


def build_features(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the departures of earlier weeks and days, for each step."""
    weekly = seasonal_lags(tables["steps"], tables["series"], by=SERIES, season=SEASON, count=LAGS)
    daily = recent_lags(weekly, tables["series"], by=SERIES, count=RECENT)
    known = F.array_compact(F.array(*(f"season_lag_{n}" for n in range(1, LAGS + 1))))
    total = F.aggregate(known, F.lit(0.0), lambda found, value: found + value)
    return daily.select(
        "ds",
        *SERIES,
        "step",
        F.dayofweek("target_date").cast("double").alias("weekday"),
        (total / F.nullif(F.size(known), F.lit(0))).alias("season_mean"),
        *(f"season_lag_{n}" for n in range(1, LAGS + 1)),
        *(f"lag_{n}" for n in range(RECENT)),
    )
