"""Landed files of flight delays, and their rules. Standard library only.

Local times are New York's unless a comment says otherwise; ``time_hour`` is UTC.
"""

from __future__ import annotations

from nightjar.declaration.data import Source
from nightjar.declaration.rules import (
    Rule,
    between,
    fresh,
    like_usual,
    matches,
    not_null,
    nulls_at_most,
    one_of,
    volume,
)
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema

TIMEZONE = "America/New_York"
ORIGINS = ("EWR", "JFK", "LGA")
ZONES = (
    *("America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles"),
    *("America/Anchorage", "Pacific/Honolulu", "America/Puerto_Rico", "America/Vancouver", "Asia/Chongqing"),
)
FLIGHT_KEY = ("year", "month", "day", "carrier", "flight", "origin")

_SCHEDULE = (
    Column("year", "int", "Year of the scheduled departure, local."),
    Column("month", "int", "Month of the scheduled departure, local."),
    Column("day", "int", "Day of the scheduled departure, local."),
    Column("sched_dep_time", "int", "Scheduled departure, local, HHMM.", unit="HHMM"),
    Column("sched_arr_time", "int", "Scheduled arrival, local at the destination, HHMM.", unit="HHMM"),
    Column("carrier", "string", "Two-letter carrier code."),
    Column("flight", "int", "Flight number."),
    Column("tailnum", "string", "Tail number of the plane."),
    Column("origin", "string", "Origin airport (FAA)."),
    Column("dest", "string", "Destination airport (FAA)."),
    Column("distance", "int", "Distance, miles.", unit="miles"),
    Column("time_hour", "timestamp", "Hour of the scheduled departure (UTC).", unit="UTC"),
)


def _outside_day(ds: str) -> Rule:
    return Rule(
        name="time_hour_in_day",
        broken_when=f"to_date(from_utc_timestamp(time_hour, '{TIMEZONE}')) <> {ds}",
        reason="time_hour lies outside the local day of the file",
    )


def _clock(column: str) -> Rule:
    return Rule(
        name=f"{column}_is_clock",
        broken_when=f"{column} % 100 > 59",
        reason=f"{column} has more than 59 minutes (HHMM)",
    )


def _minutes(clock: str) -> str:
    return f"({clock} DIV 100 * 60 + {clock} % 100)"


def _is_difference(delay: str, actual: str, scheduled: str) -> Rule:
    """Return the rule that a delay is the difference of two clock times.

    All 336,776 flights of 2013 keep it; a shifted clock, another unit or another flight's delay breaks it.
    """
    return Rule(
        name=f"{delay}_is_difference",
        broken_when=f"pmod({_minutes(actual)} - {_minutes(scheduled)} - {delay}, 1440) <> 0",
        reason=f"{delay} is not the minutes from {scheduled} to {actual}",
    )


def _schedule_rules(ds: str) -> tuple[Rule, ...]:
    return (
        not_null("time_hour"),
        not_null("sched_dep_time"),
        not_null("sched_arr_time"),
        not_null("dest"),
        one_of("origin", ORIGINS),
        matches("carrier", "[0-9A-Z]{2}", like="a two-letter code"),
        matches("dest", "[A-Z]{3}", like="an FAA code"),
        matches("tailnum", "[0-9A-Z]{5,6}", like="a tail number"),
        between("sched_dep_time", 0, 2359, unit="HHMM"),
        between("sched_arr_time", 0, 2400, unit="HHMM"),
        _clock("sched_dep_time"),
        _clock("sched_arr_time"),
        Rule(
            name="time_hour_is_departure",
            broken_when=f"hour(from_utc_timestamp(time_hour, '{TIMEZONE}')) <> sched_dep_time DIV 100",
            reason="time_hour is not the hour of sched_dep_time",
        ),
        between("distance", 1, 6000, unit="miles"),
        Rule(
            name="date_is_day",
            broken_when=f"make_date(year, month, day) IS DISTINCT FROM {ds}",
            reason="year, month and day are not the local day of the file",
        ),
        _outside_day(ds),
    )


_DATE = ("year", "month", "day")
_DAY_OF_FLIGHTS = (
    volume(0.6, 1.6),
    fresh("time_hour", 3),
    like_usual("distance", 0.5),
    like_usual("origin", 0.2),
    like_usual("carrier", 0.3),
)


def _magnus(celsius_of: str) -> str:
    """Return the exponent of the saturation vapour pressure.

    Source: Alduchov and Eskridge (1996), J. Appl. Meteorol. 35:601, eq. 21.
    """
    celsius = f"(({celsius_of} - 32) / 1.8)"
    return f"17.625 * {celsius} / (243.04 + {celsius})"


FLIGHTS = Source(
    file="flights.csv",
    table=TableSchema(
        name="raw/flights",
        comment="Flights of day ds as flown, with their delays.",
        key=FLIGHT_KEY,
        columns=(
            DS,
            *_SCHEDULE,
            Column("dep_time", "int", "Actual departure, local, HHMM; null when cancelled.", unit="HHMM"),
            Column("dep_delay", "double", "Departure delay, minutes; early is negative.", unit="minutes"),
            Column("arr_time", "int", "Actual arrival, local at the destination, HHMM.", unit="HHMM"),
            Column("arr_delay", "double", "Arrival delay, minutes; null when cancelled or diverted.", unit="minutes"),
            Column("air_time", "double", "Time in the air, minutes.", unit="minutes"),
            *LANDED,
        ),
    ),
    rules=(
        *_schedule_rules("ds"),
        between("dep_delay", -120, 2880, unit="minutes"),
        between("arr_delay", -180, 2880, unit="minutes"),
        between("air_time", 1, 1200, unit="minutes"),
        _is_difference("dep_delay", "dep_time", "sched_dep_time"),
        _is_difference("arr_delay", "arr_time", "sched_arr_time"),
        Rule(
            name="arrived_and_flew",
            broken_when="(arr_delay IS NULL) <> (air_time IS NULL)",
            reason="an arrival delay without an air time, or the reverse",
        ),
        Rule(
            name="speed_is_a_plane_s",
            broken_when="distance * 60 NOT BETWEEN 50 * air_time AND 800 * air_time",
            reason="distance and air_time make a speed outside 50 to 800 miles per hour",
        ),
    ),
    night_rules=(
        *_DAY_OF_FLIGHTS,
        nulls_at_most("arr_delay", 0.6),  # a snowstorm cancelled half of the flights of 2013-02-08
    ),
    expected_to_vary=_DATE,
)

SCHEDULE = Source(
    file="schedule.csv",
    table=TableSchema(
        name="raw/schedule",
        comment="Flights scheduled on the day after ds, as known on night ds.",
        key=FLIGHT_KEY,
        columns=(DS, *_SCHEDULE, *LANDED),
    ),
    rules=_schedule_rules("date_add(ds, 1)"),
    night_rules=tuple(rule for rule in _DAY_OF_FLIGHTS if rule.figure != "newest_age_hours"),
    expected_to_vary=_DATE,
)

WEATHER = Source(
    file="weather.csv",
    table=TableSchema(
        name="raw/weather",
        comment="Hourly weather of day ds at the three origins.",
        key=("origin", "time_hour"),
        columns=(
            DS,
            Column("origin", "string", "Airport (FAA)."),
            Column("time_hour", "timestamp", "Hour of the observation (UTC).", unit="UTC"),
            Column("temp", "double", "Temperature, degrees Fahrenheit.", unit="degrees Fahrenheit"),
            Column("dewp", "double", "Dew point, degrees Fahrenheit.", unit="degrees Fahrenheit"),
            Column("humid", "double", "Relative humidity, percent.", unit="percent"),
            Column("wind_dir", "double", "Wind direction, degrees.", unit="degrees"),
            Column("wind_speed", "double", "Wind speed, miles per hour.", unit="miles per hour"),
            Column("wind_gust", "double", "Gusts, miles per hour; null when there were none.", unit="miles per hour"),
            Column("precip", "double", "Precipitation of the hour, inches.", unit="inches"),
            Column("pressure", "double", "Sea-level pressure, millibars.", unit="millibars"),
            Column("visib", "double", "Visibility, miles.", unit="miles"),
            *LANDED,
        ),
    ),
    rules=(
        one_of("origin", ORIGINS),
        _outside_day("ds"),
        between("temp", -60, 130, unit="degrees Fahrenheit"),
        between("humid", 0, 100, unit="percent"),
        between("wind_dir", 0, 360, unit="degrees"),
        between("wind_speed", 0, 200, unit="miles per hour"),
        Rule(name="gust_above_wind", broken_when="wind_gust < wind_speed", reason="gusts are slower than the wind"),
        Rule(name="dewp_below_temp", broken_when="dewp > temp", reason="the dew point lies above the temperature"),
        Rule(
            name="humid_fits",
            broken_when=f"abs(100 * exp({_magnus('dewp')} - {_magnus('temp')}) - humid) > 35",
            reason="humid is far from what temp and dewp give (Magnus formula)",
        ),
        between("precip", 0, 10, unit="inches"),
        between("pressure", 850, 1100, unit="millibars"),
        between("visib", 0, 100, unit="miles"),
    ),
    night_rules=(volume(0.6, 1.4), fresh("time_hour", 6)),
    expected_to_vary=("precip", "visib", "wind_gust"),  # null or zero in most hours, and never on a stormy day
    max_rejected_share=0.05,
)

PLANES = Source(
    file="planes.csv",
    table=TableSchema(
        name="raw/planes",
        comment="Register of planes as of night ds.",
        key=("tailnum",),
        columns=(
            DS,
            Column("tailnum", "string", "Tail number."),
            Column("year", "int", "Year of manufacture."),
            Column("type", "string", "Type of plane."),
            Column("manufacturer", "string", "Manufacturer."),
            Column("model", "string", "Model."),
            Column("engines", "int", "Number of engines."),
            Column("seats", "int", "Number of seats."),
            Column("speed", "double", "Cruising speed, miles per hour.", unit="miles per hour"),
            Column("engine", "string", "Kind of engine."),
            *LANDED,
        ),
    ),
    rules=(
        matches("tailnum", "[0-9A-Z]{5,6}", like="a tail number"),
        between("year", 1950, 2030, unit="(year)"),
        between("seats", 1, 900, unit="seats"),
        between("engines", 1, 8, unit="engines"),
    ),
    night_rules=(volume(0.9, 1.2),),
)

AIRPORTS = Source(
    file="airports.csv",
    table=TableSchema(
        name="raw/airports",
        comment="Airports as of night ds.",
        key=("faa",),
        columns=(
            DS,
            Column("faa", "string", "FAA code."),
            Column("name", "string", "Name."),
            Column("lat", "double", "Latitude, degrees.", unit="degrees"),
            Column("lon", "double", "Longitude, degrees.", unit="degrees"),
            Column("alt", "double", "Altitude, feet.", unit="feet"),
            Column("tz", "double", "Offset from UTC, hours.", unit="hours"),
            Column("dst", "string", "Daylight saving rule: A American, N none, U unknown."),
            Column("tzone", "string", "IANA time zone."),
            *LANDED,
        ),
    ),
    rules=(
        between("lat", -90, 90, unit="degrees"),
        between("lon", -180, 180, unit="degrees"),
        one_of("tzone", ZONES),  # Spark fails on a zone that it does not know
    ),
    night_rules=(volume(0.9, 1.2),),
)

AIRLINES = Source(
    file="airlines.csv",
    table=TableSchema(
        name="raw/airlines",
        comment="Carriers as of night ds.",
        key=("carrier",),
        columns=(
            DS,
            Column("carrier", "string", "Two-letter carrier code."),
            Column("name", "string", "Name."),
            *LANDED,
        ),
    ),
)

SOURCES = (FLIGHTS, SCHEDULE, WEATHER, PLANES, AIRPORTS, AIRLINES)
