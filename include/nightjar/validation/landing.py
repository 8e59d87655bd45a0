"""Look at a night's landed files before anything reads them: there, whole, with the declared columns, not empty.

A file with columns beyond the declared ones passes: they are not read, and named in a warning. One that lacks a
declared column does not.

A landing is a folder a night, ``<landing>/<use_case>/<night>/``, with the source files and a ``manifest.json`` that is
written last::

    {"flights.csv": {"rows": 842, "bytes": 77340, "sha256": "…", "landed_at": "2013-01-02T05:00:00+00:00"}, …}

``landed_at`` is optional; without it the file's modification time counts.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from nightjar.contracts.errors import SourceError
from nightjar.contracts.nights import Nights
from nightjar.contracts.use_case import Source, UseCase
from nightjar.lake import files
from nightjar.lake.inside import leads_outside

MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 20
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class LandedFile:
    """A source file of one night that passed the check.

    Attributes:
        source: :attr:`Source.name`.
        night: The night that it landed on.
        uri: Where it is.
        rows: Data rows, as the manifest says.
        header: Column names in the file's order.
        unknown: Those of them that nobody declared.
        landed_at: When it landed (UTC).
    """

    source: str
    night: date
    uri: str
    rows: int
    header: tuple[str, ...]
    unknown: tuple[str, ...]
    landed_at: datetime


class _Problem(Exception):
    """One thing wrong with one landed file or folder."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where


def night_folder(landing: str, use_case: str, night: date) -> str:
    """The folder in which the sources of ``night`` land."""
    return f"{landing}/{use_case}/{night.isoformat()}"


def check_landing(landing: str, use_case: UseCase, nights: Nights) -> list[LandedFile]:
    """Check every source file of every night, and report all problems in one error.

    Args:
        landing: Root of the landing area.
        use_case: Its sources say which files are expected, with which columns.
        nights: The interval.

    Returns:
        The files, night by night, in the order in which the sources are declared.

    Raises:
        SourceError: when any file or folder is missing, empty, truncated, changed, unreadable, without rows or of
            another schema. It names the first few and counts all.
    """
    checked: list[LandedFile] = []
    problems: list[_Problem] = []
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="landing") as pool:
        for found in pool.map(lambda night: _check_night(landing, use_case, night), nights):
            for item in found:
                if isinstance(item, LandedFile):
                    checked.append(item)
                else:
                    problems.append(item)
    if problems:
        raise _combined(problems, landing, use_case, nights)
    return checked


def _combined(problems: Sequence[_Problem], landing: str, use_case: UseCase, nights: Nights) -> SourceError:
    whats = [problem.what for problem in problems[:_NAMED]]
    more = len(problems) - len(whats)
    return SourceError(
        "; ".join(whats) + (f"; and {more} more" if more else ""),
        where=problems[0].where if len(problems) == 1 else f"{landing}/{use_case.name}, nights {nights}",
        how_many=len(problems),
        fix="have the source system deliver the night again, whole, then clear the task (docs/runbooks/source.md)",
    )


def _check_night(landing: str, use_case: UseCase, night: date) -> list[LandedFile | _Problem]:
    folder = night_folder(landing, use_case.name, night)
    names = (MANIFEST, *(source.file for source in use_case.sources))
    linked = [name for name in names if leads_outside(landing, f"{folder}/{name}")]
    if linked:
        return [
            _Problem(f"{name} of night {night} is a link out of the landing", f"{folder}/{name}") for name in linked
        ]
    try:
        manifest = _read_manifest(folder, night)
    except _Problem as problem:
        return [problem]
    found: list[LandedFile | _Problem] = []
    for source in use_case.sources:
        try:
            found.append(_check_file(folder, source, night, manifest))
        except _Problem as problem:
            found.append(problem)
    return found


def _read_manifest(folder: str, night: date) -> Mapping[str, Any]:
    uri = f"{folder}/{MANIFEST}"
    try:
        manifest = json.loads(files.read_text(uri))
    except FileNotFoundError as error:
        if not files.exists(folder):
            raise _Problem(f"nothing landed for night {night}: the folder is missing", folder) from error
        raise _Problem(f"the landing of night {night} is not complete: {MANIFEST} is missing", uri) from error
    except ValueError as error:
        raise _Problem(f"{MANIFEST} of night {night} is not JSON ({error})", uri) from error
    if not isinstance(manifest, dict):
        raise _Problem(f"{MANIFEST} of night {night} is not an object of files", uri)
    return manifest


def _check_file(folder: str, source: Source, night: date, manifest: Mapping[str, Any]) -> LandedFile:
    """Compare one file with its line of the manifest and with the declared columns, cheapest check first."""
    uri = f"{folder}/{source.file}"
    name = f"{source.file} of night {night}"
    system, path = files.filesystem(uri)
    with files.explained(uri):
        info = system.get_file_info(path)
    if not info.is_file:
        raise _Problem(f"{name} is missing", uri)
    if not info.size:
        raise _Problem(f"{name} is empty (0 bytes)", uri)
    rows, size, sha256, landed_at = _promised(manifest, source.file, name, f"{folder}/{MANIFEST}")
    if info.size != size:
        what = "truncated" if info.size < size else "longer than landed"
        raise _Problem(f"{name} is {what}: {info.size} bytes of {size}", uri)
    digest, header = _digest_and_header(uri, name)
    if digest != sha256:
        raise _Problem(f"{name} is not the file that landed: its SHA-256 differs from the manifest's", uri)
    unknown = _check_header(header, source, name, uri)
    if rows == 0:
        raise _Problem(f"{name} has a header and no rows", uri)
    return LandedFile(
        source=source.name,
        night=night,
        uri=uri,
        rows=rows,
        header=header,
        unknown=unknown,
        landed_at=landed_at or info.mtime.astimezone(UTC),
    )


def _promised(manifest: Mapping[str, Any], file: str, name: str, uri: str) -> tuple[int, int, str, datetime | None]:
    """What the manifest says of a file: rows, bytes, SHA-256 and, when given, the moment it landed."""
    entry = manifest.get(file)
    if entry is None:
        raise _Problem(f"{name} is not in {MANIFEST}", uri)
    try:
        landed_at = entry.get("landed_at")
        moment = datetime.fromisoformat(landed_at) if landed_at else None
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"landed_at {landed_at} has no time zone")
        return int(entry["rows"]), int(entry["bytes"]), str(entry["sha256"]), moment
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _Problem(f"{MANIFEST} says of {name} no usable rows, bytes and sha256 ({error!r})", uri) from error


def _digest_and_header(uri: str, name: str) -> tuple[str, tuple[str, ...]]:
    """SHA-256 and header of a file, read once in pieces; refuses bytes that are not UTF-8."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    first_line = ""
    system, path = files.filesystem(uri)
    try:
        with files.explained(uri), system.open_input_stream(path) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                text = decoder.decode(chunk)
                if "\n" not in first_line:
                    first_line += text
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _Problem(f"{name} is not UTF-8 ({error.reason})", uri) from error
    header = next(csv.reader([first_line.split("\n", 1)[0].rstrip("\r")]), [])
    return digest.hexdigest(), tuple(header)


def _check_header(header: Sequence[str], source: Source, name: str, uri: str) -> tuple[str, ...]:
    """Refuse a header that lacks a declared column or repeats one; return the columns that nobody declared."""
    declared = {column.name: column for column in source.file_columns}
    missing = [f"{column.name} ({column.type})" for column in declared.values() if column.name not in header]
    unknown = tuple(column for column in header if column not in declared)
    repeated = sorted({column for column in header if header.count(column) > 1})
    said = {"missing": missing, "unknown": unknown, "repeated": repeated}
    if missing or repeated:
        differences = ", ".join(f"{word} {', '.join(columns)}" for word, columns in said.items() if columns)
        raise _Problem(f"{name} has another schema: {differences}", uri)
    return unknown
