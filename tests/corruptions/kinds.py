"""Kinds of corruption, and the expected outcome. ``may`` marks what no contract can promise to catch."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from tests.corruptions.landed import Landed, scaled, times

Must = Literal["stopped", "rejected", "warned", "nothing", "may"]
FLIGHTS, SCHEDULE, WEATHER, PLANES, AIRPORTS, AIRLINES = (
    f"{name}.csv" for name in ("flights", "schedule", "weather", "planes", "airports", "airlines")
)
DATE = ["year", "month", "day"]


@dataclass(frozen=True)
class Kind:
    """One kind of bad data."""

    name: str
    must: Must
    corrupt: Callable[[Landed], None]


KINDS: list[Kind] = []


def kind(must: Must) -> Callable[[Callable[[Landed], None]], Callable[[Landed], None]]:
    """Add a function to the kinds, by its name."""

    def add(corrupt: Callable[[Landed], None]) -> Callable[[Landed], None]:
        KINDS.append(Kind(corrupt.__name__, must, corrupt))
        return corrupt

    return add


# Files


@kind("stopped")
def folder_missing(night: Landed) -> None:
    shutil.rmtree(night.folder)


@kind("stopped")
def manifest_late(night: Landed) -> None:
    (night.folder / "manifest.json").unlink()


@kind("stopped")
def file_missing(night: Landed) -> None:
    (night.folder / WEATHER).unlink()


@kind("stopped")
def file_empty(night: Landed) -> None:
    night.write_bytes(PLANES, b"")


@kind("stopped")
def file_with_header_alone(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: t.head(0))


@kind("stopped")
def copy_broke_off(night: Landed) -> None:
    night.write_bytes(FLIGHTS, night.bytes(FLIGHTS)[:20_000], honest=False)


@kind("stopped")
def export_broke_off(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: t.head(len(t) // 2))


@kind("stopped")
def changed_after_landing(night: Landed) -> None:
    night.write_bytes(WEATHER, night.bytes(WEATHER).replace(b"EWR", b"LGA"), honest=False)


@kind("stopped")
def latin_1(night: Landed) -> None:
    night.change(AIRLINES, lambda t: t.assign(name=t["name"].str.replace("Airlines", "Aérolignes")))
    night.write_bytes(AIRLINES, night.bytes(AIRLINES).decode().encode("latin-1"))


@kind("stopped")
def utf_16(night: Landed) -> None:
    night.write_bytes(SCHEDULE, night.bytes(SCHEDULE).decode().encode("utf-16"))


@kind("nothing")
def byte_order_mark(night: Landed) -> None:
    night.write_bytes(FLIGHTS, b"\xef\xbb\xbf" + night.bytes(FLIGHTS))


@kind("nothing")
def windows_line_ends(night: Landed) -> None:
    night.write(FLIGHTS, night.table(FLIGHTS), lines="\r\n")


@kind("stopped")
def semicolons(night: Landed) -> None:
    night.write(WEATHER, night.table(WEATHER), sep=";")


@kind("stopped")
def blank_lines(night: Landed) -> None:
    night.write_bytes(FLIGHTS, night.bytes(FLIGHTS).replace(b"\n", b"\n\n"))


@kind("nothing")
def line_break_in_a_field(night: Landed) -> None:
    night.change(AIRPORTS, lambda t: t.assign(name=["Lansdowne\nAirport", *t["name"][1:]]))


@kind("rejected")
def field_too_many(night: Landed) -> None:
    lines = night.bytes(FLIGHTS).split(b"\n")
    lines[5] += b",7"
    night.write_bytes(FLIGHTS, b"\n".join(lines))


# Columns


@kind("nothing")
def columns_reordered(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: t[sorted(t.columns)])


@kind("warned")
def column_added(night: Landed) -> None:
    night.change(PLANES, lambda t: t.assign(colour="white"))


@kind("stopped")
def column_renamed(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: t.rename(columns={"tailnum": "tail_number"}))


@kind("stopped")
def column_dropped(night: Landed) -> None:
    night.change(WEATHER, lambda t: t.drop(columns="pressure"))


@kind("stopped")
def column_twice(night: Landed) -> None:
    night.write_bytes(WEATHER, night.bytes(WEATHER).replace(b"humid", b"temp", 1))


@kind("stopped")
def column_retyped(night: Landed) -> None:
    night.column(FLIGHTS, "flight", lambda v: "F" + v)


@kind("stopped")
def columns_swapped(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: t.rename(columns={"dep_delay": "arr_delay", "arr_delay": "dep_delay"}))


@kind("stopped")
def places_swapped(night: Landed) -> None:
    night.change(SCHEDULE, lambda t: t.rename(columns={"origin": "dest", "dest": "origin"}))


# Units, clocks, formats


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


# Values


@kind("rejected")
def sentinel_in_a_few(night: Landed) -> None:
    night.column(FLIGHTS, "dep_delay", lambda v: "-999", share=0.01)


@kind("stopped")
def sentinel_for_missing(night: Landed) -> None:
    night.change(WEATHER, lambda t: t.assign(pressure=t["pressure"].where(t.index % 5 != 0, "-999")))


@kind("stopped")
def not_a_number_spelt_out(night: Landed) -> None:
    night.column(WEATHER, "humid", lambda v: "NaN", share=0.2)


@kind("warned")
def new_category(night: Landed) -> None:
    night.column(SCHEDULE, "carrier", lambda v: "ZZ", share=0.05)


@kind("rejected")
def unknown_airport(night: Landed) -> None:
    night.change(SCHEDULE, lambda t: t.assign(origin=["PHL", *t["origin"][1:]]))


@kind("stopped")
def lower_case(night: Landed) -> None:
    night.column(FLIGHTS, "carrier", lambda v: v.str.lower())


@kind("stopped")
def padded_with_spaces(night: Landed) -> None:
    night.column(SCHEDULE, "dest", lambda v: v + "  ")


@kind("warned")
def constant_number(night: Landed) -> None:
    night.column(SCHEDULE, "distance", lambda v: "1000")


@kind("warned")
def constant_text(night: Landed) -> None:
    night.column(FLIGHTS, "tailnum", lambda v: "N12345")


@kind("rejected")
def nulls_in_1_percent(night: Landed) -> None:
    night.column(FLIGHTS, "dest", lambda v: "NA", share=0.01)


@kind("warned")
def nulls_in_1_percent_where_allowed(night: Landed) -> None:
    night.column(SCHEDULE, "distance", lambda v: "NA", share=0.01)


@kind("warned")
def nulls_in_10_percent(night: Landed) -> None:
    night.column(SCHEDULE, "tailnum", lambda v: "NA", share=0.1)


@kind("warned")
def nulls_in_50_percent(night: Landed) -> None:
    night.column(PLANES, "seats", lambda v: "NA", share=0.5)


@kind("stopped")
def nulls_in_50_percent_of_a_key(night: Landed) -> None:
    night.column(FLIGHTS, "flight", lambda v: "NA", share=0.5)


@kind("rejected")
def outliers_beyond_the_range(night: Landed) -> None:
    night.column(WEATHER, "wind_speed", lambda v: "1048.36", share=0.02)


@kind("rejected")
def outliers_within_the_range(night: Landed) -> None:
    night.column(FLIGHTS, "dep_delay", lambda v: "2000", share=0.01)


@kind("rejected")
def key_collisions(night: Landed) -> None:
    def collide(table: pd.DataFrame) -> None:
        table.loc[1, ["carrier", "flight", "origin"]] = table.loc[0, ["carrier", "flight", "origin"]]

    night.change(SCHEDULE, collide)


# Nights


@kind("stopped")
def the_night_before_again(night: Landed) -> None:
    for file in (FLIGHTS, SCHEDULE, WEATHER):
        night.write_bytes(file, (night.day_before / file).read_bytes())


@kind("warned")
def the_night_before_with_new_dates(night: Landed) -> None:
    def redate(table: pd.DataFrame) -> pd.DataFrame:
        before = pd.read_csv(night.day_before / FLIGHTS, dtype=str, keep_default_na=False)
        return before.assign(**{name: table[name].iloc[0] for name in DATE}, time_hour=times(24)(before["time_hour"]))

    night.change(FLIGHTS, redate)


@kind("warned")
def the_weather_before_with_new_dates(night: Landed) -> None:
    before = pd.read_csv(night.day_before / WEATHER, dtype=str, keep_default_na=False)
    night.write(WEATHER, before.assign(time_hour=times(24)(before["time_hour"])))


@kind("stopped")
def half_a_night(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: t[t["sched_dep_time"].astype(int) < 1300])


@kind("warned")
def the_evening_missing(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: t[t["sched_dep_time"].astype(int) < 1900])


@kind("stopped")
def rows_doubled(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: pd.concat([t, t]))


@kind("stopped")
def rows_doubled_with_new_keys(night: Landed) -> None:
    night.change(SCHEDULE, lambda t: pd.concat([t, t.assign(flight=(t["flight"].astype(int) + 10_000).astype(str))]))


@kind("stopped")
def another_day(night: Landed) -> None:
    night.change(SCHEDULE, lambda t: t.assign(day=(t["day"].astype(int) + 1).astype(str)))


@kind("stopped")
def future_dates(night: Landed) -> None:
    night.change(FLIGHTS, lambda t: t.assign(year="2031"))
    night.column(FLIGHTS, "time_hour", lambda v: v.str.replace("2013", "2031"))


@kind("warned")
def a_carrier_missing(night: Landed) -> None:
    night.change(SCHEDULE, lambda t: t[t["carrier"] != "UA"])


@kind("warned")
def an_airport_without_weather(night: Landed) -> None:
    night.change(WEATHER, lambda t: t[t["origin"] != "LGA"])


@kind("warned")
def weather_every_other_hour(night: Landed) -> None:
    night.change(WEATHER, lambda t: t[t.index % 4 != 0])


@kind("stopped")
def half_the_register(night: Landed) -> None:
    night.change(PLANES, lambda t: t.head(len(t) // 2))


@kind("warned")
def zones_all_alike(night: Landed) -> None:
    night.column(AIRPORTS, "tzone", lambda v: "America/New_York")


@kind("warned")
def nothing_arrived(night: Landed) -> None:
    gone = dict.fromkeys(["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"], "NA")
    night.change(FLIGHTS, lambda t: t.assign(**gone))


# Labels


@kind("warned")
def label_in_the_schedule(night: Landed) -> None:
    night.change(SCHEDULE, lambda t: t.assign(arr_delay="12"))


@kind("may")
def label_hidden_in_a_feature(night: Landed) -> None:
    def leak(table: pd.DataFrame) -> None:
        late = night.random.random(len(table)) < 0.25
        table.loc[late, "distance"] = (table.loc[late, "distance"].astype(int) + 1).astype(str)

    night.change(SCHEDULE, leak)


@kind("stopped")
def labels_swapped_among_flights(night: Landed) -> None:
    night.column(FLIGHTS, "arr_delay", lambda v: night.random.permutation(v.to_numpy()))


@kind("stopped")
def labels_negated(night: Landed) -> None:
    night.column(FLIGHTS, "arr_delay", scaled(-1))


@kind("may")
def planes_swapped_among_flights(night: Landed) -> None:
    night.column(SCHEDULE, "tailnum", lambda v: night.random.permutation(v.to_numpy()))


@kind("may")
def places_shuffled(night: Landed) -> None:
    night.column(SCHEDULE, "dest", lambda v: night.random.permutation(v.to_numpy()))
