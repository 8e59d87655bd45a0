"""Check a night's landed files before they are read: present, complete, with the declared columns, not empty.

Undeclared columns are not read, and named in a warning. A missing declared column is an error. Names are
case-sensitive: ``Amount`` is not ``amount``.

Size limits are declared here and in :mod:`nightjar.validation.records`; a file beyond them is rejected.

A landing is one folder per night, ``<landing>/<use_case>/<night>/``, with the source files and a ``manifest.json``
that is written last::

    {"flights.csv": {"rows": 842, "bytes": 77340, "sha256": "…", "landed_at": "2013-01-02T05:00:00+00:00"}, …}

``landed_at`` is optional and defaults to the file's modification time.
"""

from __future__ import annotations

import codecs
import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime

from nightjar.declaration.data import Source
from nightjar.declaration.use_case import UseCase
from nightjar.lake import files
from nightjar.lake.inside import leads_outside
from nightjar.protocol.errors import SourceError
from nightjar.protocol.nights import Nights
from nightjar.validation.manifest import MANIFEST, Manifest, ManifestEntry, ManifestError, read_manifest
from nightjar.validation.quoting import BYTE_ORDER_MARK, read_header
from nightjar.validation.records import MAX_RECORD_BYTES

MAX_FILE_BYTES = 64 << 30
MAX_HEADER_BYTES = 1 << 20
MAX_COLUMNS = 10_000
MAX_NAME_LENGTH = 255
_CHUNK_BYTES = 1 << 20
_NAMED = 5
_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class LandedFile:
    """A source file of one night that passed the check.

    Attributes:
        source: Name of the source.
        night: Night on which it landed.
        uri: Location of the file.
        rows: Data rows, from the manifest.
        header: Column names in file order.
        unknown: Undeclared columns among them.
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
    """One problem of one landed file or folder."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where


def night_folder(landing: str, use_case: str, night: date) -> str:
    """Return the folder in which the sources of ``night`` land."""
    return f"{landing}/{use_case}/{night.isoformat()}"


def check_landing(landing: str, use_case: UseCase, nights: Nights) -> list[LandedFile]:
    """Check every source file of every night, and report all problems in one error.

    Args:
        landing: Root of the landing area.
        use_case: Declares the expected files and columns.
        nights: The interval.

    Returns:
        The files, by night, then in the order of declaration.

    Raises:
        SourceError: when any file or folder is missing, empty, truncated, changed, unreadable, without rows or has
            another schema. It names the first few problems and counts all.
    """
    checked: list[LandedFile] = []
    problems: list[_Problem] = []
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="landing") as pool:
        for results in pool.map(lambda night: _check_night(landing, use_case, night), nights):
            for item in results:
                if isinstance(item, LandedFile):
                    checked.append(item)
                else:
                    problems.append(item)
    if problems:
        raise _combined(problems, landing, use_case, nights)
    return checked


def _combined(problems: Sequence[_Problem], landing: str, use_case: UseCase, nights: Nights) -> SourceError:
    descriptions = [problem.what for problem in problems[:_NAMED]]
    more = len(problems) - len(descriptions)
    return SourceError(
        "; ".join(descriptions) + (f"; and {more} more" if more else ""),
        where=problems[0].where if len(problems) == 1 else f"{landing}/{use_case.name}, nights {nights}",
        how_many=len(problems),
        fix="have the source system deliver the night again, whole, then clear the task (docs/runbooks/source.md)",
    )


def _check_night(landing: str, use_case: UseCase, night: date) -> list[LandedFile | _Problem]:
    folder = night_folder(landing, use_case.name, night)
    names = (MANIFEST, *(source.file for source in use_case.data.sources))
    linked = [name for name in names if leads_outside(landing, f"{folder}/{name}")]
    if linked:
        return [
            _Problem(f"{name} of night {night} is a link out of the landing", f"{folder}/{name}") for name in linked
        ]
    try:
        manifest = _read_manifest(folder, night)
    except _Problem as problem:
        return [problem]
    results: list[LandedFile | _Problem] = []
    for source in use_case.data.sources:
        if source.snapshot and not _has_landed(folder, source, manifest):
            continue
        try:
            results.append(_check_file(folder, source, night, manifest))
        except _Problem as problem:
            results.append(problem)
    return results


def _has_landed(folder: str, source: Source, manifest: Manifest) -> bool:
    """Whether a snapshot has a file with rows this night; one with a file outside of the manifest has one to check."""
    try:
        entry = manifest.entry(source.file)
    except ManifestError:
        return True
    if entry is None:
        return files.exists(f"{folder}/{source.file}")
    return entry.rows > 0 or source.snapshot is None or source.snapshot.holds == "all"


def _read_manifest(folder: str, night: date) -> Manifest:
    uri = f"{folder}/{MANIFEST}"
    try:
        return read_manifest(uri)
    except FileNotFoundError as error:
        if not files.exists(folder):
            raise _Problem(f"nothing landed for night {night}: the folder is missing", folder) from error
        raise _Problem(f"the landing of night {night} is not complete: {MANIFEST} is missing", uri) from error
    except ManifestError as error:
        raise _Problem(f"{MANIFEST} of night {night} {error}", uri) from error


def _check_file(folder: str, source: Source, night: date, manifest: Manifest) -> LandedFile:
    """Compare one file with its manifest entry and the declared columns, cheapest check first."""
    uri = f"{folder}/{source.file}"
    name = f"{source.file} of night {night}"
    system, path = files.filesystem(uri)
    with files.storage_errors(uri):
        info = system.get_file_info(path)
    if not info.is_file:
        raise _Problem(f"{name} is missing", uri)
    if not info.size:
        raise _Problem(f"{name} is empty (0 bytes)", uri)
    entry = _entry(manifest, source.file, name, f"{folder}/{MANIFEST}")
    if info.size != entry.size:
        what = "truncated" if info.size < entry.size else "longer than landed"
        raise _Problem(f"{name} is {what}: {info.size} bytes of {entry.size}", uri)
    if info.size > MAX_FILE_BYTES:
        raise _Problem(f"{name} has {info.size} bytes; at most {MAX_FILE_BYTES} are read", uri)
    digest, first_line = _read_once(uri, name)
    if digest != entry.sha256:
        raise _Problem(f"{name} is not the file that landed: its SHA-256 differs from the manifest's", uri)
    header = _header(first_line, name, uri)
    unknown = _check_header(header, source, name, uri)
    if entry.rows == 0:
        raise _Problem(f"{name} has a header and no rows", uri)
    return LandedFile(
        source=source.name,
        night=night,
        uri=uri,
        rows=entry.rows,
        header=header,
        unknown=unknown,
        landed_at=entry.landed_at or info.mtime.astimezone(UTC),
    )


def _entry(manifest: Manifest, file: str, name: str, uri: str) -> ManifestEntry:
    try:
        entry = manifest.entry(file)
    except ManifestError as error:
        raise _Problem(f"{MANIFEST} has no valid rows, bytes and sha256 for {name} ({error})", uri) from error
    if entry is None:
        raise _Problem(f"{name} is not in {MANIFEST}", uri)
    return entry


def _read_once(uri: str, name: str) -> tuple[str, bytes]:
    """Return SHA-256 and first line of a file, read once in pieces.

    Invalid UTF-8 and lines that are too long are rejected.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = _LineLengths(name, uri)
    system, path = files.filesystem(uri)
    try:
        with files.storage_errors(uri), system.open_input_stream(path) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                decoder.decode(chunk)
                lines.read(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _Problem(f"{name} is not UTF-8 ({error.reason})", uri) from error
    return digest.hexdigest(), bytes(lines.first)


class _LineLengths:
    """Tracks the first line of a file and the length of the current one; rejects lines that are too long."""

    def __init__(self, name: str, uri: str) -> None:
        self._name = name
        self._uri = uri
        self._number = 1
        self._length = 0
        self.first = bytearray()

    def read(self, chunk: bytes) -> None:
        """Process the next chunk, which is shorter than the maximum line."""
        end = chunk.find(b"\n")
        begun = len(chunk) if end < 0 else end
        if self._number == 1:
            self.first += chunk[:begun]
        self._length += begun
        limit = MAX_HEADER_BYTES if self._number == 1 else MAX_RECORD_BYTES
        if self._length > limit:
            which = "the header" if self._number == 1 else f"line {self._number}"
            raise _Problem(f"{which} of {self._name} has over {limit} bytes, the maximum for a line", self._uri)
        if end >= 0:
            self._number += chunk.count(b"\n")
            self._length = len(chunk) - chunk.rfind(b"\n") - 1


def _header(line: bytes, name: str, uri: str) -> tuple[str, ...]:
    """Return the column names of a header line."""
    text = line.removeprefix(BYTE_ORDER_MARK).removesuffix(b"\r")
    if b"\r" in text or b"\0" in text:
        invalid = "a carriage return alone: end lines with a line feed" if b"\r" in text else "a NUL byte"
        raise _Problem(f"the header of {name} holds {invalid}", uri)
    header = read_header(text)
    if header is None:
        raise _Problem(f"the header of {name} is not quoted by RFC 4180, or a name holds a line break", uri)
    if len(header) > MAX_COLUMNS:
        raise _Problem(f"{name} has {len(header)} columns; at most {MAX_COLUMNS} are read", uri)
    if long := [position for position, column in enumerate(header, 1) if len(column) > MAX_NAME_LENGTH]:
        length = len(header[long[0] - 1])
        raise _Problem(f"column {long[0]} of {name} has a name of {length} letters; at most {MAX_NAME_LENGTH}", uri)
    return header


def _check_header(header: Sequence[str], source: Source, name: str, uri: str) -> tuple[str, ...]:
    """Reject a header with a missing or repeated column; return the undeclared columns."""
    declared = {column.name: column for column in source.file_columns}
    counts = Counter(header)
    differences = {
        "missing": [f"{column.name} ({column.type})" for column in declared.values() if column.name not in counts],
        "unknown": [column for column in header if column not in declared],
        "repeated": sorted(column for column, count in counts.items() if count > 1),
    }
    if differences["missing"] or differences["repeated"]:
        description = ", ".join(f"{word} {_listed(columns)}" for word, columns in differences.items() if columns)
        raise _Problem(f"{name} has another schema: {description}", uri)
    return tuple(differences["unknown"])


def _listed(columns: Sequence[str]) -> str:
    more = len(columns) - _LISTED
    return ", ".join(columns[:_LISTED]) + (f" and {more} more" if more > 0 else "")
