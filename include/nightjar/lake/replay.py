"""Replay of a recorded history: land the files of each night as if a source system had delivered them.

A folder lands atomically: written under another name, then renamed. An existing folder is never touched: ingest judges
what landed, not the replay.
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from nightjar.declaration.use_case import UseCase
from nightjar.lake import files
from nightjar.protocol.errors import ConfigurationError, SourceError
from nightjar.protocol.nights import Nights

PROGRESS_SECONDS = 2.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedFile:
    """Bytes of a file of one night, and the number of its rows."""

    content: bytes
    rows: int


def csv_file(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> RecordedFile:
    """Return a CSV file with a header."""
    buffer, count = io.StringIO(), 0
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(row)
        count += 1
    return RecordedFile(buffer.getvalue().encode(), count)


def land_nights(
    nights: Nights, landing: str, use_case: UseCase, record: Callable[[date], Mapping[str, RecordedFile]]
) -> int:
    """Land the files of each night whose folder does not exist.

    Args:
        nights: Nights to land.
        landing: Absolute path of the landing folder; a night's files go to ``<landing>/<use_case>/<night>/``.
        use_case: The use case, whose schedule says which nights are recorded.
        record: Returns the files of a recorded night by name.

    Returns:
        Number of rows written, over all files; 0 when every folder existed.

    Raises:
        SourceError: when a night is not recorded, before anything is written.
        ConfigurationError: when ``landing`` is not a local folder (the replay renames folders).
        StorageFullError: when the disk is full; the night's folder then does not exist.
    """
    if not os.path.isabs(landing):
        raise ConfigurationError(
            f"the replay cannot land in {landing!r}", where="NIGHTJAR_LANDING", fix="give an absolute path of a folder"
        )
    root = Path(landing) / use_case.name
    absent = [night for night in nights if not (root / night.isoformat()).exists()]
    if not absent:
        return 0
    _check_recorded(absent, use_case)
    rows, reported = 0, time.monotonic()
    for done, night in enumerate(absent, start=1):
        rows += _land(root / night.isoformat(), record(night))
        if done == len(absent) or time.monotonic() - reported > PROGRESS_SECONDS:
            log.info("landed %d of %d nights (%s), %d rows", done, len(absent), night, rows)
            reported = time.monotonic()
    return rows


def _check_recorded(nights: Sequence[date], use_case: UseCase) -> None:
    first, last = use_case.schedule.first_night, use_case.schedule.last_night or nights[-1]
    if missing := [night for night in nights if not first <= night <= last]:
        listed = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise SourceError(
            f"the record does not have the night {listed}",
            where=f"replay of {use_case.name}",
            how_many=len(missing),
            fix=f"choose nights from {first} to {last}",
        )


def _land(folder: Path, recorded: Mapping[str, RecordedFile]) -> int:
    """Write a night's files and their manifest; return the number of rows, 0 when another run was faster."""
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    manifest = {
        name: {"rows": file.rows, "bytes": len(file.content), "sha256": hashlib.sha256(file.content).hexdigest()}
        for name, file in recorded.items()
    }
    try:
        with files.storage_errors(str(folder)):
            temporary.mkdir(parents=True)
            for name, file in recorded.items():
                files.write_bytes(f"{temporary}/{name}", file.content)
            files.write_text(f"{temporary}/manifest.json", json.dumps(manifest, indent=1) + "\n")
            try:
                temporary.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
                return 0  # another run has landed this night meanwhile: keep its files
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sum(file.rows for file in recorded.values())
