"""Names that become paths, table names, DAG ids and SQL: checked once, here."""

from __future__ import annotations

import re

from nightjar.contracts.errors import ConfigurationError

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")


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
    """Return ``value`` with everything but letters, digits, ``-``, ``_``, ``=`` and ``.`` replaced by ``-``.

    Made for Airflow run ids (``manual__2013-04-01T06:00:00+00:00``), which are not safe as folder names everywhere.
    """
    segment = re.sub(r"[^A-Za-z0-9_=.-]", "-", value)
    if not segment.strip("."):
        raise ConfigurationError(f"{value!r} makes no folder name", where="path", fix="use a non-empty name")
    return segment
