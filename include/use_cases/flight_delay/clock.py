"""Moments of a flight as Spark column functions: local clocks in, UTC instants out, whatever daylight saving does.

All functions expect a Spark session in UTC.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from use_cases.flight_delay.sources import TIMEZONE

# airports.csv has no entry for the airports of Puerto Rico and the US Virgin Islands, though 8,000 flights a year go
# there. All four keep Atlantic Standard Time the whole year; 'America/Puerto_Rico' is the IANA zone of that clock.
ZONES_NOT_LANDED = {airport: "America/Puerto_Rico" for airport in ("BQN", "PSE", "SJU", "STT")}


def minutes_of_day(hhmm: Column) -> Column:
    """Minutes since midnight of a clock time written as HHMM; 2400 is 1440."""
    return F.floor(hhmm / 100).cast("int") * 60 + hhmm % 100


def local_day(instant: Column, zone: str = TIMEZONE) -> Column:
    """The calendar day that ``instant`` (UTC) falls on in ``zone``.

    Something that happened at ``instant`` is known at the midnight that ends night D exactly when its day is <= D.
    """
    return F.to_date(F.from_utc_timestamp(instant, zone))


def prediction_moment(ds: Column) -> Column:
    """The local midnight that ends night ``ds``, as a UTC instant."""
    return F.to_utc_timestamp(F.date_add(ds, 1).cast("timestamp"), TIMEZONE)


def later(instant: Column, minutes: Column) -> Column:
    """``instant`` plus ``minutes`` (negative: minus)."""
    return F.timestamp_seconds(F.unix_timestamp(instant) + minutes * 60)


def scheduled_departure(time_hour: Column, sched_dep_time: Column) -> Column:
    """The instant of the scheduled departure: ``time_hour`` is its hour in UTC, the HHMM clock gives the minute."""
    return later(time_hour, sched_dep_time % 100)


def scheduled_arrival(departure: Column, sched_arr_time: Column, zone: Column) -> Column:
    """The instant of the scheduled arrival: the first after ``departure`` at which the destination's clock shows it.

    Sound because no flight of the schedule takes a day. Where the destination's zone is unknown, 24 hours after the
    departure: no flight is scheduled to land later, so its label counts as known late rather than early.

    Args:
        departure: Scheduled departure, UTC.
        sched_arr_time: Scheduled arrival as HHMM of the destination's clock.
        zone: IANA zone of the destination, null when unknown.
    """
    day = F.date_trunc("day", F.from_utc_timestamp(departure, zone))
    same_day = later(day, minutes_of_day(sched_arr_time))
    arrival = F.to_utc_timestamp(same_day, zone)
    next_day = F.to_utc_timestamp(later(same_day, F.lit(24 * 60)), zone)
    return F.coalesce(F.when(arrival > departure, arrival).otherwise(next_day), later(departure, F.lit(24 * 60)))


def zone_of(airport: Column, landed_zone: Column) -> Column:
    """IANA zone of an airport: as landed, else as declared in :data:`ZONES_NOT_LANDED`, else null."""
    declared = F.create_map(*(F.lit(part) for pair in ZONES_NOT_LANDED.items() for part in pair))
    return F.coalesce(landed_zone, declared[airport])
