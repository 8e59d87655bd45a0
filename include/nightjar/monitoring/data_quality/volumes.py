"""Rows per table and night, read from the Delta log without opening data files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from nightjar.declaration.use_case import UseCase
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.lake.table import Table


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Rows of one table on one night.

    Attributes:
        table: Name of the table.
        rows: Number of rows.
        rejected: Rows for this table that are in quarantine.
        earlier: Rows of earlier nights that have any, oldest first.
    """

    table: str
    rows: int
    rejected: int
    earlier: tuple[int, ...] = ()

    @property
    def usual(self) -> float | None:
        """Median rows of the earlier nights; None without earlier nights."""
        return median(self.earlier) if self.earlier else None


def count_volumes(lake: Lake, use_case: UseCase, night: date, earlier: Sequence[date]) -> list[Volume]:
    """Count the rows of ``night`` in the raw tables, features and scores; tables that do not exist are left out.

    Snapshots are left out too: they land only when there is something new.
    """
    schemas = [source.table for source in use_case.data.sources if not source.snapshot]
    schemas += [use_case.feature_table, use_case.score_table]
    quarantine = lake.table(use_case.quarantine_table)
    rejected = _rows(quarantine) if quarantine.exists() else {}
    volumes = []
    for schema in schemas:
        table = lake.table(schema)
        if not table.exists():
            continue
        counts = _rows(table)
        volumes.append(
            Volume(
                table=schema.name,
                rows=counts.get((night.isoformat(), ""), 0),
                rejected=rejected.get((night.isoformat(), schema.name), 0),
                earlier=tuple(counts[day.isoformat(), ""] for day in earlier if (day.isoformat(), "") in counts),
            )
        )
    return volumes


def _rows(table: Table) -> dict[tuple[str, str], int]:
    """Count rows per night and, in the quarantine, table; the table is ``""`` where nights are the only partition."""
    counts: dict[tuple[str, str], int] = {}
    for file in active_files(table.open(), {}):
        key = (file.partition["ds"], file.partition.get("table_name", ""))
        counts[key] = counts.get(key, 0) + file.rows
    return counts
