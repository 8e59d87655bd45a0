"""``make query``: read-only SQL over the lake's tables, with DuckDB."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.declaration.sql import quote_ansi
from nightjar.lake.lake import Lake
from nightjar.lake.rows import arrow_source
from nightjar.local.lake_tables import LeftOut, find_tables, find_views
from nightjar.local.summary import table as text_table
from nightjar.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    import duckdb

_CATALOGS = {"memory", "temp", "system"}
"""DuckDB's own databases; a schema of the same name needs the database as prefix."""
_RESERVED = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A lake opened in DuckDB.

    Attributes:
        connection: Has a view for each table and view of the lake, and no access to files or network.
        names: Schema and name of each, in listing order.
        left_out: Tables and views that could not be opened.
    """

    connection: duckdb.DuckDBPyConnection
    names: tuple[tuple[str, str], ...]
    left_out: tuple[LeftOut, ...]


def connect(lake: Path) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection with every table and view of the lake that can be opened (:func:`open_lake`)."""
    return open_lake(lake).connection


def open_lake(lake: Path) -> Opened:
    """Open every table of the lake; tables that cannot be opened are listed with the reason.

    Raises:
        ConfigurationError: when the lake has no table yet.
    """
    import duckdb

    tables, left_out = find_tables(lake)
    connection = duckdb.connect()
    opened = []
    for table in tables:
        try:
            rows = connection.from_arrow(arrow_source(Lake(str(lake)).open_table(table.path)))
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_ansi('memory', table.schema)}")
            connection.execute(f"USE {quote_ansi('memory', table.schema)}")
            rows.create_view(table.name, replace=False)
        except Exception as error:  # other programs may have written anything into a table
            left_out.append(LeftOut.because(table.path, error))
        else:
            opened.append(table)
    connection.execute("USE memory.main")
    views, no_views = find_views(opened)
    names = [(table.schema, table.name) for table in opened]
    for view in views:
        try:
            connection.execute(f"CREATE VIEW {quote_ansi(view.schema, view.name)} AS {view.sql(quote_ansi)}")
        except duckdb.Error as error:
            no_views.append(LeftOut.because(f"{view.schema}/{view.name}", error))
        else:
            names.append((view.schema, view.name))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return Opened(connection=connection, names=tuple(sorted(names)), left_out=(*left_out, *no_views))


def run_query(lake: Path, sql: str) -> str:
    """Return the result of ``sql`` as a text table; without ``sql``, the list of tables and views.

    Tables that were left out are listed on standard error.

    Raises:
        ConfigurationError: when DuckDB cannot run it.
    """
    import duckdb

    opened = open_lake(lake)
    with opened.connection as connection:
        if not sql.strip():
            return _listing(opened)
        for missing in opened.left_out:
            print(missing, file=sys.stderr)
        try:
            answer = connection.sql(sql)
            return "" if answer is None else str(answer)  # DuckDB runs the query when the result is read
        except duckdb.Error as error:
            raise ConfigurationError(_explain(opened, sql, error), where="SQL", fix=_hint(opened, error)) from error


def _listing(opened: Opened) -> str:
    """Return all tables and views with their row counts, one per line, then what was left out."""
    import duckdb

    reserved = _reserved_words(opened.connection)
    rows: list[tuple[str, int | str]] = []
    for schema, name in opened.names:
        try:
            query = f"SELECT count(*) FROM {quote_ansi('memory', schema, name)}"  # noqa: S608 - the name is quoted
            (count,) = opened.connection.sql(query).fetchall()[0]
        except (duckdb.Error, OSError) as error:
            count = f"cannot be read: {LeftOut.because(name, error).reason}"
        rows.append((_written(schema, name, reserved), count))
    lines = text_table(["table", "rows"], rows)
    if plain := [name for name, _ in rows if '"' not in name]:
        lines += ["", f'make query SQL="SELECT * FROM {plain[0]} LIMIT 5"']  # noqa: S608
    return "\n".join([*lines, *map(str, opened.left_out)])


def _written(schema: str, name: str, reserved: set[str]) -> str:
    """Return the name as in a query: quoted where needed."""
    parts = ["memory", schema, name] if schema.lower() in _CATALOGS else [schema, name]
    return ".".join(
        part if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) and part.lower() not in reserved else quote_ansi(part)
        for part in parts
    )


def _reserved_words(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {word for (word,) in connection.sql(_RESERVED).fetchall()}


def _explain(opened: Opened, sql: str, error: duckdb.Error) -> str:
    """Return DuckDB's error in one line, without its suggestion, which may be one of DuckDB's own tables."""
    import duckdb

    text = re.sub(r'\s*Did you mean "[^"]*".*', "", str(error))
    text = re.sub(r"\s+", " ", re.sub(r"\s*\^+\s*$", "", text))
    if not isinstance(error, duckdb.ParserException):
        return text
    words = _reserved_words(opened.connection) & set(re.findall(r"\w+", sql.lower()))
    columns = opened.connection.sql("SELECT lower(column_name) FROM duckdb_columns() WHERE NOT internal").fetchall()
    names = {name for (name,) in columns} | {part.lower() for parts in opened.names for part in parts}
    quoted = ", ".join(f"{word} as {quote_ansi(word)}" for word in sorted(words & names))
    return f"{text} (reserved words are names only in quotes: write {quoted})" if quoted else text


def _hint(opened: Opened, error: duckdb.Error) -> str:
    """Return the fix: tables with a name close to the missing one, or how to list all."""
    missing = re.search(r'with name "?(.+?)"? does not exist', str(error))
    if not missing:
        return "see the tables with `make query`"
    reserved = _reserved_words(opened.connection)
    close = _close_names(missing[1].lower(), opened.names)
    names = " or ".join(_written(*name, reserved) for name in close)
    return f"did you mean {names}? See the tables with `make query`" if names else "see the tables with `make query`"


def _close_names(asked: str, names: Iterable[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Return at most three names close to ``asked`` as a whole or in their last part."""
    by_text: dict[str, tuple[str, str]] = {}
    for schema, name in names:
        for text in (f"{schema}.{name}", name, schema):
            by_text.setdefault(text.lower(), (schema, name))
    close = get_close_matches(asked, by_text, n=3)
    return list(dict.fromkeys(by_text[text] for text in close))
