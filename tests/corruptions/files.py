"""Corrupted files, and columns that are not the declared ones."""

from __future__ import annotations

import shutil

from tests.corruptions.kind import AIRLINES, AIRPORTS, FLIGHTS, PLANES, SCHEDULE, WEATHER, Kind, adder
from tests.corruptions.landed import Landed

KINDS: list[Kind] = []
kind = adder(KINDS)


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
