"""Weather of day D at each origin, as observed before the prediction moment, and its trend."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from use_cases.flight_delay.clock import local_day, prediction_moment

RECENT_HOURS = 6
_DECIMALS = 1000


def exact_sum(values: Column) -> Column:
    """Return the sum of ``values`` to three decimals, added as integers so that Spark's order does not matter."""
    return F.sum(F.round(values * _DECIMALS).cast("long")) / _DECIMALS


def latest(column: str, *, min_age_hours: int = 0) -> Column:
    """Return the last non-null value of ``column`` at least ``min_age_hours`` before the prediction moment."""
    known = F.col(column).isNotNull() & (F.col("age_hours") >= min_age_hours)
    return F.max_by(F.col(column), F.when(known, F.col("time_hour")))


def weather_features(weather: DataFrame) -> DataFrame:
    """Return the weather features by ``ds`` and ``origin``.

    Args:
        weather: Rows of ``raw/weather``; observations of other local days than ``ds`` are ignored.
    """
    recent = F.col("age_hours") <= RECENT_HOURS
    age_seconds = F.unix_timestamp(prediction_moment(F.col("ds"))) - F.unix_timestamp("time_hour")
    known = weather.where(local_day(F.col("time_hour")) == F.col("ds")).withColumn("age_hours", age_seconds / 3600)
    return known.groupBy("ds", "origin").agg(
        exact_sum(F.when(recent, F.col("precip"))).alias("precip_recent"),
        exact_sum(F.col("precip")).alias("precip_day"),
        latest("visib").alias("visibility_last"),
        F.min(F.when(recent, F.col("visib"))).alias("visibility_low"),
        (exact_sum(F.when(recent, F.col("wind_speed"))) / F.count(F.when(recent, F.col("wind_speed")))).alias(
            "wind_recent"
        ),
        latest("pressure").alias("pressure_last"),
        (latest("pressure") - latest("pressure", min_age_hours=RECENT_HOURS + 1)).alias("pressure_change"),
        latest("temp").alias("temp_last"),
        latest("dewp").alias("dewp_last"),
        (1 - F.count("pressure") / F.count("*")).alias("pressure_missing"),
    )
