"""``make query``: SQL over the lake's tables, with DuckDB, reading only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.use_case import load_use_case
from nightjar.contracts.views import View, latest_scores

if TYPE_CHECKING:
    import duckdb


def delta_tables(lake: Path) -> dict[str, Path]:
    """Delta tables below the lake's root: name as DuckDB sees it (``scores.flight_delay``) to folder."""
    logs = sorted(lake.glob("*/*/_delta_log"))
    return {
        ".".join(log.parent.relative_to(lake).parts): log.parent for log in logs if not log.parts[-3].startswith("_")
    }


def views(tables: Iterable[str]) -> list[View]:
    """The views on ``tables`` (``scores.flight_delay``); a use case that is declared no more has none."""
    found = []
    for schema, name in (table.split(".") for table in tables):
        if schema == "scores":
            with suppress(ConfigurationError):
                found.append(latest_scores(load_use_case(name)))
    return found


def connect(lake: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with each Delta table and the :func:`views`, which reaches neither files nor network.

    Raises:
        ConfigurationError: when the lake has no table yet.
    """
    import duckdb
    from deltalake import DeltaTable

    tables = delta_tables(lake)
    if not tables:
        raise ConfigurationError("the lake has no table yet", where=str(lake), fix="fill it with `make run`")
    connection = duckdb.connect()
    for number, (name, folder) in enumerate(tables.items()):
        connection.register(f"delta_{number}", DeltaTable(str(folder)).to_pyarrow_dataset())
        schema, table = name.split(".")
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        connection.execute(f'CREATE VIEW "{schema}"."{table}" AS SELECT * FROM delta_{number}')  # noqa: S608
    for view in views(tables):
        connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def run_query(lake: Path, sql: str) -> str:
    """The answer to ``sql`` as a table of text; without one, the list of tables.

    Raises:
        ConfigurationError: when DuckDB cannot run it.
    """
    import duckdb

    with connect(lake) as connection:
        if not sql.strip():
            return _listing(connection, lake)
        try:
            answer = connection.sql(sql)
            return "" if answer is None else str(answer)  # DuckDB runs the query when its answer is read
        except duckdb.Error as error:
            raise ConfigurationError(
                re.sub(r"\s+", " ", str(error)), where="SQL", fix="see the tables with `make query`"
            ) from error


def _listing(connection: duckdb.DuckDBPyConnection, lake: Path) -> str:
    counts = " UNION ALL ".join(
        f"SELECT '{name}' AS \"table\", count(*) AS rows FROM {name}"  # noqa: S608
        for name in delta_tables(lake)
    )
    return f'{connection.sql(counts)}\nmake query SQL="SELECT * FROM scores.flight_delay LIMIT 5"'  # noqa: S608
