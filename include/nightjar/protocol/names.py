"""Names that become paths, table names, DAG ids and SQL: checked once, here."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from nightjar.protocol.errors import ConfigurationError, ModelError

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
IDENTIFIER_FORM = "lower-case letters, digits and underscores, beginning with a letter, at most 63 characters"
_NOT_LITERAL = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]{}*?#\\`\"<>|^\x00-\x1f\x7f]")
_READABLE_CHARACTERS = 120
_PLAIN_SEGMENT = re.compile(rf"[a-z0-9_=.-]{{1,{_READABLE_CHARACTERS}}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SEGMENT = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]{1,255}")

_HELPER = "__nightjar_"


def helper(name: str) -> str:
    """Name of a column that programs add to a DataFrame for themselves.

    It begins with an underscore, which :func:`check_identifier` refuses: no declared name can be the same. Two may not
    differ in case alone, which Spark takes for the same.
    """
    return _HELPER + name


TEXT = helper("text")
"""Struct of a landed row's declared fields, as they stood in the file."""
MALFORMED = helper("malformed")
"""Struct of a landed line that is not one record: ``line``, ``line_number``, ``problem``; null for a row."""
ROWS_OF_KEY = helper("rows_of_key")
"""Rows of the night with this row's key."""
BROKEN_RULES = helper("broken_rules")
"""Names of the rules that a row breaks."""


def is_identifier(value: Any) -> bool:
    """Return whether ``value`` is a lower-case identifier of at most 63 characters."""
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def check_identifier(value: str, *, field: str) -> str:
    """Return ``value`` when it is a lower-case identifier of at most 63 characters.

    Raises:
        ConfigurationError: naming ``field`` and the allowed form.
    """
    if not is_identifier(value):
        raise ConfigurationError(f"{field} {value!r} is not a name", where=field, fix=f"use {IDENTIFIER_FORM}")
    return value


def check_location(value: str, *, field: str) -> str:
    """Return a folder or URI that every library takes for what it says.

    Spark takes brackets, braces, ``*`` and ``?`` for patterns; delta-rs decodes ``%41`` and fails at brackets.

    Raises:
        ConfigurationError: naming ``field`` and what cannot be in it.
    """
    if found := _NOT_LITERAL.search(value):
        raise ConfigurationError(
            f"{value!r} holds {found[0]!r}, which Spark or delta-rs takes for a pattern or an escape",
            where=field,
            fix="choose a folder without brackets, braces, *, ?, #, quotes, backslashes, and % before two hex digits",
        )
    return value


def path_segment(value: str) -> str:
    """Return a folder or file name that belongs to ``value`` alone, on case-insensitive file systems too.

    A short lower-case name stays as it is. Any other, like Airflow's ``manual__2013-04-01T06:00:00+00:00``, becomes
    its readable part, ``~`` and 80 bits of its SHA-256; ``~`` is in no name that stays as it is.
    """
    if _PLAIN_SEGMENT.fullmatch(value) and value.strip("."):
        return value
    readable = re.sub(r"[^A-Za-z0-9_=.-]", "-", value)[:_READABLE_CHARACTERS]
    return f"{readable}~{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()[:20]}"


def check_sha256(value: object, *, of: str, where: str) -> str:
    """Return ``value`` when it is a SHA-256 in lower-case hexadecimal; only then may it become part of a path.

    Args:
        value: What a registry, a result or a ledger says.
        of: What has this checksum.
        where: Who says so.

    Raises:
        ModelError: naming ``of``.
    """
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ModelError(
            f"the SHA-256 of {of} is {value!r:.100}, not 64 digits from 0-9 and a-f",
            where=where,
            fix="do not score with it; see who changed it, and promote one that the use case's DAG registered",
        )
    return value


def is_file_name(value: str) -> bool:
    """Whether ``value`` is one visible name: no path, no control character, no leading dot."""
    return _SEGMENT.fullmatch(value) is not None
