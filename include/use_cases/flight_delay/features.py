"""Features and labels of flights; the same functions serve training and scoring, one night or ninety.

Night D uses data known at the local midnight that ends day D: rows of ``ds <= D``, weather observed before it, and
labels of flights that had landed. The Spark session must be in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from nightjar.protocol.nights import Nights
from use_cases.flight_delay.clock import minutes_of_day
from use_cases.flight_delay.columns import LATE_MINUTES
from use_cases.flight_delay.history import known_labels, trailing_counts, with_history
from use_cases.flight_delay.moments import with_arrival, with_schedule
from use_cases.flight_delay.use_case import USE_CASE
from use_cases.flight_delay.weather import weather_features


def build_features(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the features of the flights scheduled on the day after each night.

    Args:
        tables: Source name to its raw rows, for the nights and the use case's preceding ``history_nights``.
        nights: Nights to build.

    Returns:
        One row per row of ``raw/schedule`` in the nights, with the columns of the feature table.
    """
    history = _between(nights.first - timedelta(days=USE_CASE.data.history_nights), nights.last)
    inside = _between(nights.first, nights.last)
    labels = known_labels(with_arrival(tables["flights"].where(history), tables["airports"].where(history)))
    schedule = schedule_features(tables["schedule"].where(inside), tables["airports"].where(inside))
    planes = (
        tables["planes"]
        .where(inside)
        .select(
            "ds",
            "tailnum",
            F.col("seats").alias("plane_seats"),
            (F.year("ds") - F.col("year")).alias("plane_age_years"),
        )
    )
    features = (
        with_history(schedule, trailing_counts(labels, nights).localCheckpoint())
        .join(F.broadcast(weather_features(tables["weather"].where(inside))), ["ds", "origin"], "left")
        .join(planes, ["ds", "tailnum"], "left")
    )
    return features.select(*(F.col(c.name).cast(c.type) for c in USE_CASE.feature_table.columns))


def schedule_features(schedule: DataFrame, airports: DataFrame) -> DataFrame:
    """Return features from the calendar and the day's schedule, with the columns that the history features need.

    Args:
        schedule: Rows of ``raw/schedule``.
        airports: Rows of ``raw/airports`` of the same nights.
    """
    seconds = F.unix_timestamp("scheduled_departure")
    flight_date = F.make_date("year", "month", "day")
    origin = Window.partitionBy("ds", "origin")
    plane = Window.partitionBy("ds", "tailnum")
    in_order = plane.orderBy("scheduled_departure", "carrier", "flight")
    has_plane = F.col("tailnum").isNotNull()
    return (
        with_schedule(schedule, airports)
        .repartition("ds")
        .select(
            "ds",
            flight_date.alias("flight_date"),
            *("carrier", "flight", "origin", "dest", "tailnum", "scheduled_departure", "sched_dep_time", "distance"),
            F.dayofweek(flight_date).alias("day_of_week"),
            minutes_of_day(F.col("sched_dep_time")).alias("departure_minute"),
            minutes_of_day(F.col("sched_arr_time")).alias("arrival_minute"),
            ((F.unix_timestamp("scheduled_arrival") - seconds) / 60).alias("scheduled_minutes"),
            F.count("*").over(origin.orderBy(seconds).rangeBetween(-1800, 1800)).alias("origin_departures_around"),
            F.count("*").over(origin.orderBy(seconds).rangeBetween(-3 * 3600, -1)).alias("origin_departures_before"),
            F.count("*").over(origin).alias("origin_departures_day"),
            F.count("*").over(Window.partitionBy("ds", "origin", "carrier")).alias("carrier_departures_day"),
            F.when(has_plane, F.row_number().over(in_order)).alias("plane_leg"),
            F.when(has_plane, F.count("*").over(plane)).alias("plane_legs"),
            F.when(has_plane, (seconds - F.lag(seconds).over(in_order)) / 60).alias("plane_gap_minutes"),
        )
    )


def build_labels(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """Return the labels of the flights of each night's own day.

    Args:
        tables: As for :func:`build_features`.
        nights: Nights to build.

    Returns:
        One row per row of ``raw/flights`` in the nights, with the columns of the label table. A flight that did not
            arrive has no label; ``outcome`` gives the reason.
    """
    return labels_of(tables, nights, F.col("arr_delay") > LATE_MINUTES)


def labels_of(tables: Mapping[str, DataFrame], nights: Nights, label: Column) -> DataFrame:
    """Return :func:`build_labels` with another ``label``, an expression over the rows of ``raw/flights``."""
    inside = _between(nights.first, nights.last)
    delay = F.col("arr_delay")
    outcome = F.when(delay.isNotNull(), "arrived").when(F.col("dep_time").isNull(), "cancelled").otherwise("diverted")
    labels = with_arrival(tables["flights"].where(inside), tables["airports"].where(inside)).select(
        "*",
        F.make_date("year", "month", "day").alias("flight_date"),
        label.alias("label"),
        outcome.alias("outcome"),
        F.col("arrived_at").alias("known_at"),
    )
    return labels.select(*(F.col(c.name).cast(c.type) for c in USE_CASE.label_table.columns))


def _between(first: date, last: date) -> Column:
    return F.col("ds").between(first, last)
