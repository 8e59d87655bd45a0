"""Lateness of earlier flights over trailing windows of days, counted from the day on which each label became known."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nightjar.features.aggregates import total
from nightjar.features.trailing import trailing_by_night
from nightjar.protocol.nights import Nights
from use_cases.flight_delay.clock import local_day
from use_cases.flight_delay.columns import LATE_MINUTES, WINDOWS

MAX_DELAY_MINUTES = 240
"""Delays are clipped to this: a flight that arrives a day late says little about the next."""
PRIOR_FLIGHTS = 20
"""Weight of the overall rate in a smoothed rate, as a number of flights."""
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
"""Group to the SQL of a flight's key in it; null without a key (a flight without a tail number)."""


def known_labels(flights: DataFrame) -> DataFrame:
    """Return each landed flight once per group: key, day known, flights (1), late (0 or 1), minutes.

    A label counts from the midnight that ends the local day on which the flight landed, not the day of its schedule: a
    flight that lands after midnight is known one night later. No label is known before the night whose files hold it,
    whatever its arrival time. Minutes are whole numbers, as integer sums do not depend on Spark's order of addition.

    Args:
        flights: Result of :func:`use_cases.flight_delay.moments.with_arrival`.
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
    """Return key, night (``ds``), and the sums ``<count>_<days>d`` of each window ending with the night.

    Args:
        labels: Result of :func:`known_labels`.
        nights: Nights to count for.
    """
    return trailing_by_night(
        labels, nights, by=["key"], time="day", windows=WINDOWS, aggregates={name: total(name) for name in COUNTS}
    )


def with_history(schedule: DataFrame, counts: DataFrame) -> DataFrame:
    """Add the late rate and mean delay of each group and window to each scheduled flight.

    Rates are smoothed towards all flights in the same window, ``(late + s * overall) / (flights + s)``: the posterior
    mean under a prior worth ``s`` flights. They are null while no flight is known. One SQL statement, as Spark would
    analyse the growing plan at each of eight joins and hundreds of column objects.

    Args:
        schedule: Flights to predict, with their night ``ds``; all columns are kept.
        counts: Result of :func:`trailing_counts`; small, and read once per group.
    """
    joins = (
        f"LEFT JOIN {{counts}} AS of_{kind} ON of_{kind}.ds = asked.ds AND of_{kind}.key = {key}"
        for kind, key in KEYS.items()
    )
    features = (
        f"{_smoothed(kind, days, count)} AS {kind}_{name}_{days}d"
        for kind in KEYS
        for days in WINDOWS
        for name, count in (("late_rate", "late"), ("delay", "minutes"))
    )
    broadcast = f"/*+ BROADCAST({', '.join(f'of_{kind}' for kind in KEYS)}) */"
    # built from constants of this module only, so no injection is possible
    statement = f"SELECT {broadcast} asked.*, {', '.join(features)} FROM {{schedule}} AS asked {' '.join(joins)}"  # noqa: S608
    return schedule.sparkSession.sql(statement, schedule=schedule, counts=counts)


def _smoothed(kind: str, days: int, count: str) -> str:
    def of(kind: str, count: str) -> str:
        return f"coalesce(of_{kind}.{count}_{days}d, 0)"

    overall = f"try_divide({of('all', count)}, {of('all', 'flights')})"
    if kind == "all":
        return overall
    return f"({of(kind, count)} + {PRIOR_FLIGHTS} * {overall}) / ({of(kind, 'flights')} + {PRIOR_FLIGHTS})"
