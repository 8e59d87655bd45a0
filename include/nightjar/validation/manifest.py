"""The manifest of a night's landing, with the facts of each file; written by the source system, so read strictly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nightjar.lake import files
from nightjar.protocol.documents import PARSER_ERRORS, parse_json

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
_MAX_COUNT = 1 << 53


class ManifestError(ValueError):
    """A description of what is wrong with a manifest."""


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """The manifest's facts of one file.

    Attributes:
        rows: Data rows.
        size: Bytes.
        sha256: SHA-256 of the file.
        landed_at: When it landed (UTC); None when not stated.
    """

    rows: int
    size: int
    sha256: str
    landed_at: datetime | None


@dataclass(frozen=True)
class Manifest:
    """A manifest whose entries are checked one by one: a wrong entry of one file leaves the others readable."""

    _entries: Mapping[str, object]

    def entry(self, file: str) -> ManifestEntry | None:
        """Return the entry of ``file``; None when the manifest does not name it.

        Raises:
            ManifestError: when rows, bytes, sha256 or landed_at are missing or invalid.
        """
        return _parse_entry(self._entries[file]) if file in self._entries else None


def read_manifest(uri: str) -> Manifest:
    """Return the manifest at ``uri``.

    Raises:
        FileNotFoundError: when the manifest does not exist.
        ManifestError: when it is not a JSON object of files, is too large, or names a file twice.
    """
    if (size := files.size(uri)) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"has {size} bytes; at most {MAX_MANIFEST_BYTES} are read")
    try:
        manifest = parse_json(files.read_bytes(uri), object_of=_object)
    except ManifestError:
        raise
    except PARSER_ERRORS as error:
        raise ManifestError(f"is not JSON ({error})") from error
    if not isinstance(manifest, dict):
        raise ManifestError("is not an object of files")
    return Manifest(manifest)


def _parse_entry(entry: object) -> ManifestEntry:
    if not isinstance(entry, dict):
        raise ManifestError(f"{_shown(entry)} is not an object")
    sha256 = entry.get("sha256")
    if not isinstance(sha256, str):
        raise ManifestError(f"sha256 {_shown(sha256)} is not text")
    return ManifestEntry(
        rows=_count(entry, "rows"),
        size=_count(entry, "bytes"),
        sha256=sha256,
        landed_at=_moment(entry.get("landed_at")),
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ManifestError(f"names {_shown(counts.most_common(1)[0][0])} twice")
    return entries


def _count(entry: Mapping[str, Any], name: str) -> int:
    count = entry.get(name)
    if type(count) is not int or not 0 <= count <= _MAX_COUNT:
        raise ManifestError(f"{name} {_shown(count)} is not a count")
    return count


def _moment(text: object) -> datetime | None:
    if text is None or text == "":
        return None
    try:
        moment = datetime.fromisoformat(str(text))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ManifestError(f"landed_at {_shown(text)} is not a timestamp") from error
    raise ManifestError(f"landed_at {_shown(text)} has no time zone")


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "of several values"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
