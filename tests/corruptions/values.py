"""Missing, extreme, repeated and unknown values."""

from __future__ import annotations

import pandas as pd

from tests.corruptions.kind import FLIGHTS, PLANES, SCHEDULE, WEATHER, Kind, adder
from tests.corruptions.landed import Landed

KINDS: list[Kind] = []
kind = adder(KINDS)


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
