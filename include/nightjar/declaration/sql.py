"""Identifiers in SQL: every name that goes into a statement is quoted here; standard library only."""

from __future__ import annotations

from collections.abc import Callable

Quote = Callable[..., str]
"""Quotes the parts of a name for one engine: ``quote("scores", "flight_delay")``."""


def quote_ansi(*parts: str) -> str:
    """Return the name as standard SQL (DuckDB, PostgreSQL) has it: ``"scores"."flight_delay"``."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def quote_spark(*parts: str) -> str:
    """Return the name as Spark SQL has it: backticks round each part."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)
