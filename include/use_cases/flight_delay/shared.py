"""The flights' tables under other names, for use cases that read the same files: no two may write the same table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from nightjar.declaration.data import Data

Table = TypeVar("Table")


def with_prefix(data: Data, prefix: str) -> Data:
    """Return the same data in raw tables whose names begin with ``prefix``."""
    return replace(
        data,
        sources=tuple(
            replace(source, table=replace(source.table, name=f"raw/{prefix}{source.name}")) for source in data.sources
        ),
        features_from=prefix + data.features_from,
        labels_from=prefix + data.labels_from,
    )


def without_prefix(tables: Mapping[str, Table], prefix: str) -> dict[str, Table]:
    """Return the tables by the names that the flights' own functions know."""
    return {name.removeprefix(prefix): table for name, table in tables.items()}
