"""Values in another unit, on another clock or in another format."""

from __future__ import annotations

import pandas as pd

from tests.corruptions.kind import FLIGHTS, SCHEDULE, WEATHER, Kind, adder
from tests.corruptions.landed import Landed, scaled, times

KINDS: list[Kind] = []
kind = adder(KINDS)


@kind("warned")
def kilometres_for_miles(night: Landed) -> None:
    night.column(SCHEDULE, "distance", scaled(1.609))


@kind("stopped")
def seconds_for_minutes(night: Landed) -> None:
    night.column(FLIGHTS, "arr_delay", scaled(60))


@kind("stopped")
def hours_for_minutes(night: Landed) -> None:
    night.column(FLIGHTS, "air_time", scaled(1 / 60, 3))


@kind("may")
def celsius_for_fahrenheit(night: Landed) -> None:
    for name in ("temp", "dewp"):
        night.column(WEATHER, name, lambda v: ((v.astype(float) - 32) / 1.8).round(2).astype(str))


@kind("stopped")
def inches_for_millibars(night: Landed) -> None:
    night.column(WEATHER, "pressure", scaled(0.02953, 2))


@kind("may")
def knots_for_miles_an_hour(night: Landed) -> None:
    for name in ("wind_speed", "wind_gust"):
        night.column(WEATHER, name, scaled(0.869, 4))


@kind("stopped")
def feet_for_miles(night: Landed) -> None:
    night.column(FLIGHTS, "distance", scaled(5280))


@kind("stopped")
def percent_as_share(night: Landed) -> None:
    night.column(WEATHER, "humid", scaled(0.01, 4))


@kind("stopped")
def another_time_zone(night: Landed) -> None:
    night.column(FLIGHTS, "time_hour", times(-4))


@kind("stopped")
def daylight_saving_forgotten(night: Landed) -> None:
    night.column(SCHEDULE, "time_hour", times(1))


@kind("stopped")
def weather_in_local_time(night: Landed) -> None:
    night.column(WEATHER, "time_hour", times(-4))


@kind("stopped")
def clocks_an_hour_off(night: Landed) -> None:
    night.column(FLIGHTS, "arr_time", lambda v: ((v.astype(int) + 100) % 2400).astype(str))


@kind("stopped")
def decimal_commas(night: Landed) -> None:
    night.column(WEATHER, "temp", lambda v: v.str.replace(".", ","))


@kind("stopped")
def thousands_separators(night: Landed) -> None:
    night.column(FLIGHTS, "distance", lambda v: v.astype(int).map("{:,}".format))


@kind("stopped")
def american_dates(night: Landed) -> None:
    night.column(FLIGHTS, "time_hour", lambda v: pd.to_datetime(v).dt.strftime("%m/%d/%Y %H:%M"))


@kind("stopped")
def epoch_seconds(night: Landed) -> None:
    night.column(WEATHER, "time_hour", lambda v: (pd.to_datetime(v).astype("int64") // 10**9).astype(str))


@kind("nothing")
def moments_with_an_offset(night: Landed) -> None:
    night.column(
        FLIGHTS,
        "time_hour",
        lambda v: pd.to_datetime(v, utc=True).dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )


@kind("stopped")
def exponents(night: Landed) -> None:
    night.column(FLIGHTS, "distance", lambda v: v.astype(float).map("{:.2E}".format))
