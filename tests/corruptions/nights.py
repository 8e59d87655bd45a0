"""Nights that are incomplete, doubled or another night's, and labels that are wrong or leak."""

from __future__ import annotations

import pandas as pd

from tests.corruptions.kind import AIRPORTS, DATE, FLIGHTS, PLANES, SCHEDULE, WEATHER, Kind, adder
from tests.corruptions.landed import Landed, scaled, times

KINDS: list[Kind] = []
kind = adder(KINDS)


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
