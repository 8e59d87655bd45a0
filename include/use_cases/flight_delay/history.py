"""How late earlier flights were: trailing windows of days, counted from the day on which each label became known."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nightjar.protocol.nights import Nights
from use_cases.flight_delay.clock import local_day
from use_cases.flight_delay.columns import LATE_MINUTES, WINDOWS

MAX_DELAY_MINUTES = 240
"""Delays count up to this: one flight that arrives a day late says little about the next."""
PRIOR_FLIGHTS = 20
"""How many flights of the overall rate a rate is smoothed with."""
COUNTS = ("flights", "late", "minutes")
KEYS = {
    "all": "'all'",
    "carrier": "concat('carrier:', carrier)",
    "carrier_origin": "concat('carrier_origin:', carrier, '-', origin)",
    "dest": "concat('dest:', dest)",
    "route": "concat('route:', origin, '-', dest)",
    "origin_hour": "concat('origin_hour:', origin, '-', sched_dep_time DIV 100)",
    "tail": "concat('tail:', tailnum)",
    "flight": "concat('flight:', carrier, '-', flight)",
}
"""Kind to the SQL of a flight's key in it; null when it has none (a flight without tail number)."""


def known_labels(flights: DataFrame) -> DataFrame:
    """Each landed flight once for each kind: key, day known, flights (1), late (0 or 1), minutes.

    A label counts from the midnight that ends the local day on which the flight landed, not the day for which it was
    scheduled: one that lands after midnight is not known before the next night. Nor is any known before the night whose
    files hold it, whatever they say of its arrival. Minutes are whole, as sums of integers
    are the same in whatever order Spark adds them.

    Args:
        flights: As :func:`use_cases.flight_delay.moments.with_arrival` returns them.
    """
    minutes = F.greatest(F.least(F.col("arr_delay"), F.lit(MAX_DELAY_MINUTES)), F.lit(-MAX_DELAY_MINUTES))
    rows = flights.where("arrived_at IS NOT NULL").select(
        F.explode(F.array(*map(F.expr, KEYS.values()))).alias("key"),
        F.greatest("ds", local_day(F.col("arrived_at"))).alias("day"),
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
    posterior mean under a prior worth ``s`` flights. While nothing is known of any flight they are null. One SQL
    statement, as Spark would analyse the growing plan again at each of eight joins and hundreds of column objects.

    Args:
        schedule: Flights to predict, with ``ds``, their night; all columns are kept.
        counts: As :func:`trailing_counts` returns them; small, and read once for each kind.
    """
    joins = (
        f"LEFT JOIN {{counts}} AS of_{kind} ON of_{kind}.ds = asked.ds AND of_{kind}.key = {key}"
        for kind, key in KEYS.items()
    )
    features = (
        f"{_smoothed(kind, window, count)} AS {kind}_{name}_{days}d"
        for kind in KEYS
        for window, days in enumerate(WINDOWS)
        for name, count in (("late_rate", "late"), ("delay", "minutes"))
    )
    broadcast = f"/*+ BROADCAST({', '.join(f'of_{kind}' for kind in KEYS)}) */"
    # made of this module's constants alone, hence no injection
    statement = f"SELECT {broadcast} asked.*, {', '.join(features)} FROM {{schedule}} AS asked {' '.join(joins)}"  # noqa: S608
    return schedule.sparkSession.sql(statement, schedule=schedule, counts=counts)


def _smoothed(kind: str, window: int, count: str) -> str:
    def of(kind: str, count: str) -> str:
        return f"coalesce(of_{kind}.counts[{window * len(COUNTS) + COUNTS.index(count)}], 0)"

    overall = f"try_divide({of('all', count)}, {of('all', 'flights')})"
    if kind == "all":
        return overall
    return f"({of(kind, count)} + {PRIOR_FLIGHTS} * {overall}) / ({of(kind, 'flights')} + {PRIOR_FLIGHTS})"
