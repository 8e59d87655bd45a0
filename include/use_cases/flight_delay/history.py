"""How late earlier flights were: trailing windows of days, counted from the day on which each label became known."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from nightjar.contracts.nights import Nights
from use_cases.flight_delay.clock import local_day
from use_cases.flight_delay.columns import HISTORY_KINDS, LATE_MINUTES, WINDOWS

MAX_DELAY_MINUTES = 240
"""Delays count up to this: one flight that arrives a day late says little about the next."""
PRIOR_FLIGHTS = 20
"""How many flights of the overall rate a rate is smoothed with."""
COUNTS = ("flights", "late", "minutes")


def history_keys() -> dict[str, Column]:
    """Kind to a flight's key in it, ``<kind>:<whose>``; null when it has none (a flight without tail number).

    The key of ``all`` is no literal: Spark would push a literal's join below the aggregation and count twice.
    """
    hour = F.floor(F.col("sched_dep_time") / 100).cast("string")
    parts: dict[str, tuple[Column, ...]] = {
        "all": (F.substring("origin", 1, 0),),
        "carrier": (F.col("carrier"),),
        "carrier_origin": (F.col("carrier"), F.col("origin")),
        "dest": (F.col("dest"),),
        "route": (F.col("origin"), F.col("dest")),
        "origin_hour": (F.col("origin"), hour),
        "tail": (F.col("tailnum"),),
        "flight": (F.col("carrier"), F.col("flight").cast("string")),
    }
    return {kind: F.concat(F.lit(f"{kind}:"), *whose) for kind, whose in parts.items()}


def known_labels(flights: DataFrame) -> DataFrame:
    """Each landed flight once for each kind: key, day known, flights (1), late (0 or 1), minutes.

    A label counts from the midnight that ends the local day on which the flight landed, not the day for which it was
    scheduled: one that lands after midnight is not known before the next night. Minutes are whole, as sums of integers
    are the same in whatever order Spark adds them.

    Args:
        flights: As :func:`use_cases.flight_delay.moments.with_arrival` returns them.
    """
    minutes = F.greatest(F.least(F.col("arr_delay"), F.lit(MAX_DELAY_MINUTES)), F.lit(-MAX_DELAY_MINUTES))
    rows = flights.where("arrived_at IS NOT NULL").select(
        F.explode(F.array(*history_keys().values())).alias("key"),
        local_day(F.col("arrived_at")).alias("day"),
        F.lit(1).alias("flights"),
        (F.col("arr_delay") > LATE_MINUTES).cast("int").alias("late"),
        F.round(minutes).cast("int").alias("minutes"),
    )
    return rows.where("key IS NOT NULL")


def trailing_counts(labels: DataFrame, nights: Nights) -> DataFrame:
    """Key, night (``ds``) and counts: an array of flights, late and minutes of each window of days that ends with it.

    A label serves every night from the day on which it is known until it leaves the longest window. One shuffle serves
    both sums. Not Spark's window functions: they set up each of tens of thousands of small groups at a cost that
    dwarfs the counting.

    Args:
        labels: As :func:`known_labels` returns them.
        nights: The nights to count for.
    """
    longest = max(WINDOWS)
    first, last = F.lit(nights.first), F.lit(nights.last)
    serves = F.sequence(F.greatest("day", first), F.least(F.date_add("day", longest - 1), last))
    daily = (
        labels.where(F.col("day").between(F.date_sub(first, longest - 1), last))
        .repartition("key")
        .groupBy("key", "day")
        .agg(*(F.sum(count).alias(count) for count in COUNTS))
    )
    age = F.datediff("ds", "day")
    sums = (F.coalesce(F.sum(F.when(age < days, F.col(c))), F.lit(0)) for days in WINDOWS for c in COUNTS)
    return daily.select("*", F.explode(serves).alias("ds")).groupBy("key", "ds").agg(F.array(*sums).alias("counts"))


def with_history(schedule: DataFrame, counts: DataFrame) -> DataFrame:
    """Add the late rate and mean delay of each kind and window to each scheduled flight.

    They are smoothed to those of all flights in the same window, ``(late + s * overall) / (flights + s)``: the
    posterior mean under a prior worth ``s`` flights. While nothing is known of any flight they are null.

    Args:
        schedule: Flights to predict, with ``ds``, their night; all columns are kept.
        counts: As :func:`trailing_counts` returns them. They are broadcast once, for the joins of all kinds.
    """
    found = schedule
    for kind, key in history_keys().items():
        its = counts.select(
            F.col("key").alias("its_key"), F.col("ds").alias("its_ds"), F.col("counts").alias(f"{kind}_counts")
        )
        same = (key == F.col("its_key")) & (F.col("ds") == F.col("its_ds"))
        found = found.join(F.broadcast(its), same, "left").drop("its_key", "its_ds")
    features = (
        _smoothed(kind, window, count).alias(f"{kind}_{name}_{days}d")
        for kind in HISTORY_KINDS
        for window, days in enumerate(WINDOWS)
        for name, count in (("late_rate", "late"), ("delay", "minutes"))
    )
    return found.select(*schedule.columns, *features)


def _smoothed(kind: str, window: int, count: str) -> Column:
    def of(kind: str, count: str) -> Column:
        return F.coalesce(F.col(f"{kind}_counts")[window * len(COUNTS) + COUNTS.index(count)], F.lit(0))

    overall = F.try_divide(of("all", count), of("all", "flights"))
    if kind == "all":
        return overall
    return (of(kind, count) + PRIOR_FLIGHTS * overall) / (of(kind, "flights") + PRIOR_FLIGHTS)
