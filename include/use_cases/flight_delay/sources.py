"""What lands each night for flight delays, and its contract. Standard library only.

Local times are New York's unless a comment says otherwise; ``time_hour`` is UTC.
"""

from __future__ import annotations

from nightjar.contracts.rules import Rule, between, not_null, one_of
from nightjar.contracts.tables import DS, Column, TableSchema
from nightjar.contracts.use_case import Source

TIMEZONE = "America/New_York"
ORIGINS = ("EWR", "JFK", "LGA")
ZONES = (
    *("America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles"),
    *("America/Anchorage", "Pacific/Honolulu", "America/Puerto_Rico", "America/Vancouver", "Asia/Chongqing"),
)
FLIGHT_KEY = ("year", "month", "day", "carrier", "flight", "origin")

_LANDED = (
    Column("source_file", "string", "Landed file that held the row.", nullable=False),
    Column("landed_at", "timestamp", "When that file landed (UTC).", nullable=False),
)
_SCHEDULE = (
    Column("year", "int", "Year of the scheduled departure, local."),
    Column("month", "int", "Month of the scheduled departure, local."),
    Column("day", "int", "Day of the scheduled departure, local."),
    Column("sched_dep_time", "int", "Scheduled departure, local, HHMM."),
    Column("sched_arr_time", "int", "Scheduled arrival, local at the destination, HHMM."),
    Column("carrier", "string", "Two-letter carrier code."),
    Column("flight", "int", "Flight number."),
    Column("tailnum", "string", "Tail number of the plane."),
    Column("origin", "string", "Origin airport (FAA)."),
    Column("dest", "string", "Destination airport (FAA)."),
    Column("distance", "int", "Distance, miles."),
    Column("time_hour", "timestamp", "Hour of the scheduled departure (UTC)."),
)


def _outside_day(ds: str) -> Rule:
    return Rule(
        name="time_hour_in_day",
        broken_when=f"to_date(from_utc_timestamp(time_hour, '{TIMEZONE}')) <> {ds}",
        reason="time_hour lies outside the local day that the file is for",
    )


def _clock(column: str) -> Rule:
    return Rule(
        name=f"{column}_is_clock",
        broken_when=f"{column} % 100 > 59",
        reason=f"{column} has more than 59 minutes (HHMM)",
    )


def _schedule_rules(ds: str) -> tuple[Rule, ...]:
    return (
        not_null("time_hour"),
        not_null("sched_dep_time"),
        not_null("sched_arr_time"),
        not_null("dest"),
        one_of("origin", ORIGINS),
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
            reason="year, month and day are not the local day that the file is for",
        ),
        _outside_day(ds),
    )


FLIGHTS = Source(
    file="flights.csv",
    table=TableSchema(
        name="raw/flights",
        comment="Flights of day ds as flown, with their delays.",
        key=FLIGHT_KEY,
        columns=(
            DS,
            *_SCHEDULE,
            Column("dep_time", "int", "Actual departure, local, HHMM; null when cancelled."),
            Column("dep_delay", "double", "Departure delay, minutes; early is negative."),
            Column("arr_time", "int", "Actual arrival, local at the destination, HHMM."),
            Column("arr_delay", "double", "Arrival delay, minutes; null when cancelled or diverted."),
            Column("air_time", "double", "Time in the air, minutes."),
            *_LANDED,
        ),
    ),
    rules=(
        *_schedule_rules("ds"),
        between("dep_delay", -120, 2880, unit="minutes"),
        between("arr_delay", -180, 2880, unit="minutes"),
        between("air_time", 1, 1200, unit="minutes"),
    ),
)

SCHEDULE = Source(
    file="schedule.csv",
    table=TableSchema(
        name="raw/schedule",
        comment="Flights scheduled on the day after ds, as known on night ds.",
        key=FLIGHT_KEY,
        columns=(DS, *_SCHEDULE, *_LANDED),
    ),
    rules=_schedule_rules("date_add(ds, 1)"),
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
            Column("time_hour", "timestamp", "Hour of the observation (UTC)."),
            Column("temp", "double", "Temperature, degrees Fahrenheit."),
            Column("dewp", "double", "Dew point, degrees Fahrenheit."),
            Column("humid", "double", "Relative humidity, percent."),
            Column("wind_dir", "double", "Wind direction, degrees."),
            Column("wind_speed", "double", "Wind speed, miles per hour."),
            Column("wind_gust", "double", "Gust speed, miles per hour; null when there were none."),
            Column("precip", "double", "Precipitation of the hour, inches."),
            Column("pressure", "double", "Sea-level pressure, millibars."),
            Column("visib", "double", "Visibility, miles."),
            *_LANDED,
        ),
    ),
    rules=(
        one_of("origin", ORIGINS),
        _outside_day("ds"),
        between("temp", -60, 130, unit="degrees Fahrenheit"),
        between("humid", 0, 100, unit="percent"),
        between("wind_speed", 0, 200, unit="miles per hour"),
        between("precip", 0, 10, unit="inches"),
        between("pressure", 850, 1100, unit="millibars"),
        between("visib", 0, 100, unit="miles"),
    ),
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
            Column("speed", "double", "Cruising speed, miles per hour."),
            Column("engine", "string", "Kind of engine."),
            *_LANDED,
        ),
    ),
    rules=(between("seats", 1, 900, unit="seats"), between("engines", 1, 8, unit="engines")),
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
            Column("lat", "double", "Latitude, degrees."),
            Column("lon", "double", "Longitude, degrees."),
            Column("alt", "double", "Altitude, feet."),
            Column("tz", "double", "Offset from UTC, hours."),
            Column("dst", "string", "Daylight saving rule: A American, N none, U unknown."),
            Column("tzone", "string", "IANA time zone."),
            *_LANDED,
        ),
    ),
    rules=(
        between("lat", -90, 90, unit="degrees"),
        between("lon", -180, 180, unit="degrees"),
        one_of("tzone", ZONES),  # Spark fails on a zone that it does not know
    ),
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
            *_LANDED,
        ),
    ),
)

SOURCES = (FLIGHTS, SCHEDULE, WEATHER, PLANES, AIRPORTS, AIRLINES)
