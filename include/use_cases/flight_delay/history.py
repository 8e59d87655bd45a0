"""How late earlier flights were: trailing windows of days, counted from the day on which each label became known."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from use_cases.flight_delay.clock import local_day
from use_cases.flight_delay.columns import HISTORY_KINDS, LATE_MINUTES, WINDOWS

MAX_DELAY_MINUTES = 240
"""Delays count up to this: one flight that arrives a day late says little about the next."""
PRIOR_FLIGHTS = 20
"""How many flights of the overall rate a rate is smoothed with."""
COUNTS = ("flights", "late", "minutes")


def history_keys() -> dict[str, Column]:
    """The key of a flight under each kind of history; null when it has none (a flight without tail number)."""
    return {
        "all": F.lit("all"),
        "carrier": F.col("carrier"),
        "carrier_origin": F.concat_ws("-", "carrier", "origin"),
        "dest": F.col("dest"),
        "route": F.concat_ws("-", "origin", "dest"),
        "origin_hour": F.concat_ws("-", F.col("origin"), F.floor(F.col("sched_dep_time") / 100).cast("string")),
        "tail": F.col("tailnum"),
        "flight": F.concat_ws("-", F.col("carrier"), F.col("flight").cast("string")),
    }


def _by_kind(day: Column) -> Column:
    """One struct (kind, key, day) for each kind, to be inlined into rows."""
    return F.array(
        *(
            F.struct(F.lit(kind).alias("kind"), key.alias("key"), day.alias("day"))
            for kind, key in history_keys().items()
        )
    )


def known_labels(flights: DataFrame) -> DataFrame:
    """Each landed flight under each kind: kind, key, day (local day of its landing), flights (1), late, minutes.

    A label counts from the midnight that ends the day on which the flight landed, not the day for which it was
    scheduled: one that lands after midnight is not known before the next night. Minutes are whole, as sums of integers
    are the same in whatever order Spark adds them.

    Args:
        flights: As :func:`use_cases.flight_delay.moments.with_moments` returns them.
    """
    minutes = F.greatest(F.least(F.col("arr_delay"), F.lit(MAX_DELAY_MINUTES)), F.lit(-MAX_DELAY_MINUTES))
    return (
        flights.where("arrived_at IS NOT NULL")
        .select(
            F.lit(1).alias("flights"),
            (F.col("arr_delay") > LATE_MINUTES).cast("int").alias("late"),
            F.round(minutes).cast("int").alias("minutes"),
            F.inline(_by_kind(local_day(F.col("arrived_at")))),
        )
        .where("key IS NOT NULL")
    )


def with_history(schedule: DataFrame, labels: DataFrame) -> DataFrame:
    """Add the history of each kind to each scheduled flight.

    Requests and labels are counted by (kind, key, day) together: one shuffle and one pass of windows serve them all.

    Args:
        schedule: Flights to predict, with ``ds``, their night; all columns are kept.
        labels: As :func:`known_labels` returns them.
    """
    requests = schedule.select(
        F.struct(*schedule.columns).alias("request"), F.inline(_by_kind(F.col("ds")))
    )
    daily = (
        labels.unionByName(requests, allowMissingColumns=True)
        .repartition("kind", "key")
        .groupBy("kind", "key", F.unix_date("day").alias("day"))
        .agg(*(F.sum(count).alias(count) for count in COUNTS), F.collect_list("request").alias("requests"))
    )
    by_key = Window.partitionBy("kind", "key").orderBy("day")
    trailing = F.array(
        *(
            F.coalesce(F.sum(count).over(by_key.rangeBetween(1 - days, 0)), F.lit(0))
            for days in WINDOWS
            for count in COUNTS
        )
    )
    answers = (
        daily.select("kind", "requests", trailing.alias("counts"))
        .select("kind", "counts", F.explode("requests").alias("request"))
        .groupBy("request")
        .agg(F.sort_array(F.collect_list(F.struct("kind", "counts"))).alias("history"))
    )
    return answers.select("request.*", *history_features(F.col("history")))


def history_features(history: Column) -> list[Column]:
    """The late rate and mean delay of each kind and window.

    They are smoothed to those of all flights in the same window, ``(late + s * overall) / (flights + s)``: the
    posterior mean under a prior worth ``s`` flights. While nothing is known of any flight they are null.

    Args:
        history: Array of (kind, counts), in alphabetical order of all kinds; counts holds flights, late and minutes
            of each window in turn.
    """
    position = {kind: at for at, kind in enumerate(sorted(HISTORY_KINDS))}

    def count(kind: str, window: int, which: str) -> Column:
        return history[position[kind]]["counts"][window * len(COUNTS) + COUNTS.index(which)]

    features = []
    for kind in HISTORY_KINDS:
        for window, days in enumerate(WINDOWS):
            for name, which in (("late_rate", "late"), ("delay", "minutes")):
                value = F.try_divide(count("all", window, which), count("all", window, "flights"))
                if kind != "all":
                    flights = count(kind, window, "flights") + PRIOR_FLIGHTS
                    value = (count(kind, window, which) + PRIOR_FLIGHTS * value) / flights
                features.append(value.alias(f"{kind}_{name}_{days}d"))
    return features
