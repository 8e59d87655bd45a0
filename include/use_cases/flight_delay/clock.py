"""Times of a flight as Spark column functions: local clock times in, UTC instants out, also across clock changes.

All functions require a Spark session in UTC.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from nightjar.features import moments
from use_cases.flight_delay.sources import TIMEZONE

# airports.csv lacks the airports of Puerto Rico and the US Virgin Islands, with 8,000 flights a year. All four keep
# Atlantic Standard Time all year; its IANA zone is 'America/Puerto_Rico'.
ZONES_NOT_LANDED = {airport: "America/Puerto_Rico" for airport in ("BQN", "PSE", "SJU", "STT")}


def minutes_of_day(hhmm: Column) -> Column:
    """Return minutes since midnight of a clock time in HHMM; 2400 is 1440."""
    return F.floor(hhmm / 100).cast("int") * 60 + hhmm % 100


def local_day(instant: Column, zone: str = TIMEZONE) -> Column:
    """Return the calendar day of ``instant`` (UTC) in ``zone``.

    An event at ``instant`` is known at the midnight that ends night D exactly when its day is <= D.
    """
    return moments.local_day(instant, zone)


def prediction_moment(ds: Column) -> Column:
    """Return the local midnight that ends night ``ds``, in UTC."""
    return moments.prediction_moment(ds, TIMEZONE)


def later(instant: Column, minutes: Column) -> Column:
    """Return ``instant`` plus ``minutes``, which may be negative."""
    return F.timestamp_seconds(F.unix_timestamp(instant) + minutes * 60)


def scheduled_departure(time_hour: Column, sched_dep_time: Column) -> Column:
    """Return the scheduled departure: hour from ``time_hour`` (UTC), minute from the HHMM clock time."""
    return later(time_hour, sched_dep_time % 100)


def scheduled_arrival(departure: Column, sched_arr_time: Column, zone: Column) -> Column:
    """Return the scheduled arrival: the first time after ``departure`` at which the destination's clock shows it.

    This is correct as no scheduled flight takes a day. When the destination's zone is unknown, it is 24 hours after the
    departure: no flight is scheduled to land later, so its label counts as known too late rather than too early.

    Args:
        departure: Scheduled departure, UTC.
        sched_arr_time: Scheduled arrival in HHMM, local at the destination.
        zone: IANA zone of the destination; null when unknown.
    """
    day = F.date_trunc("day", F.from_utc_timestamp(departure, zone))
    same_day = later(day, minutes_of_day(sched_arr_time))
    arrival = F.to_utc_timestamp(same_day, zone)
    next_day = F.to_utc_timestamp(later(same_day, F.lit(24 * 60)), zone)
    return F.coalesce(F.when(arrival > departure, arrival).otherwise(next_day), later(departure, F.lit(24 * 60)))


def zone_of(airport: Column, landed_zone: Column) -> Column:
    """Return the IANA zone of an airport: as landed, otherwise from :data:`ZONES_NOT_LANDED`, otherwise null."""
    declared = F.create_map(*(F.lit(part) for pair in ZONES_NOT_LANDED.items() for part in pair))
    return F.coalesce(landed_zone, declared[airport])
