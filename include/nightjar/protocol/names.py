"""Checks of names that become paths, table names, DAG ids and SQL."""

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
    """Return the name of a helper column that programs add to a DataFrame.

    It begins with an underscore, which :func:`check_identifier` rejects, so it cannot collide with a declared name. Two
    helpers must not differ by case alone, as Spark ignores case.
    """
    return _HELPER + name


TEXT = helper("text")
"""Struct of a landed row's declared fields, as text from the file."""
MALFORMED = helper("malformed")
"""Struct of a landed line that is not one record: ``line``, ``line_number``, ``problem``; null for a valid row."""
ROWS_OF_KEY = helper("rows_of_key")
"""Number of the night's rows with this row's key."""
BROKEN_RULES = helper("broken_rules")
"""Names of the rules that the row breaks."""


def is_identifier(value: Any) -> bool:
    """Return whether ``value`` is a lower-case identifier of at most 63 characters."""
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def check_identifier(value: str, *, field: str) -> str:
    """Check that ``value`` is a lower-case identifier of at most 63 characters, and return it.

    Raises:
        ConfigurationError: naming ``field`` and the allowed form.
    """
    if not is_identifier(value):
        raise ConfigurationError(f"{field} {value!r} is not a name", where=field, fix=f"use {IDENTIFIER_FORM}")
    return value


def check_location(value: str, *, field: str) -> str:
    """Check that every library reads a folder or URI literally, and return it.

    Spark treats brackets, braces, ``*`` and ``?`` as patterns; delta-rs decodes ``%41`` and fails at brackets.

    Raises:
        ConfigurationError: naming ``field`` and the invalid character.
    """
    if invalid := _NOT_LITERAL.search(value):
        raise ConfigurationError(
            f"{value!r} holds {invalid[0]!r}, which Spark or delta-rs reads as a pattern or an escape",
            where=field,
            fix="choose a folder without brackets, braces, *, ?, #, quotes, backslashes, and % before two hex digits",
        )
    return value


def path_segment(value: str) -> str:
    """Return a folder or file name unique to ``value``, also on case-insensitive file systems.

    A short lower-case name is unchanged. Any other, like Airflow's ``manual__2013-04-01T06:00:00+00:00``, becomes its
    readable part, ``~`` and 80 bits of its SHA-256. No unchanged name holds ``~``.
    """
    if _PLAIN_SEGMENT.fullmatch(value) and value.strip("."):
        return value
    readable = re.sub(r"[^A-Za-z0-9_=.-]", "-", value)[:_READABLE_CHARACTERS]
    return f"{readable}~{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()[:20]}"


def check_sha256(value: object, *, of: str, where: str) -> str:
    """Check that ``value`` is a SHA-256 in lower-case hexadecimal, and return it; only then may it be part of a path.

    Args:
        value: Value from a registry, a result or the ledger.
        of: What the checksum is of, for the message.
        where: Source of the value.

    Raises:
        ModelError: naming ``of``.
    """
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ModelError(
            f"the SHA-256 of {of} is {value!r:.100}, not 64 digits from 0-9 and a-f",
            where=where,
            fix="do not score with it; find out who changed it, and promote a version registered by the use case's DAG",
        )
    return value


def is_file_name(value: str) -> bool:
    """Return whether ``value`` is one visible name: not a path, no control character, no leading dot."""
    return _SEGMENT.fullmatch(value) is not None
