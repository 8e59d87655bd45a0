"""Names that become paths, table names, DAG ids and SQL: checked once, here."""

from __future__ import annotations

import hashlib
import re

from nightjar.contracts.errors import ConfigurationError

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
_READABLE_CHARACTERS = 120
_PLAIN_SEGMENT = re.compile(rf"[a-z0-9_=.-]{{1,{_READABLE_CHARACTERS}}}")


def check_identifier(value: str, *, field: str) -> str:
    """Return ``value`` when it is a lower-case identifier of at most 63 characters.

    Raises:
        ConfigurationError: naming ``field`` and the allowed form.
    """
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ConfigurationError(
            f"{field} {value!r} is not a name",
            where=field,
            fix="use lower-case letters, digits and underscores, beginning with a letter, at most 63 characters",
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
