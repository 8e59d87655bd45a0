"""Quoting of SQL identifiers. Every name in a statement goes through here. Standard library only."""

from __future__ import annotations

from collections.abc import Callable

Quote = Callable[..., str]
"""Quotes the parts of a name for one engine, e.g. ``quote("scores", "flight_delay")``."""


def quote_ansi(*parts: str) -> str:
    """Return the name in standard SQL (DuckDB, PostgreSQL): ``"scores"."flight_delay"``."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def quote_spark(*parts: str) -> str:
    """Return the name in Spark SQL: each part in backticks."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)
