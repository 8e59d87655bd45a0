"""Table schemas, declared once; Spark, Arrow, contracts and the data dictionary derive from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from nightjar.declaration.declared import Bounds, Declaration, Name, Text, check_choice, check_unique, refuse
from nightjar.protocol.names import check_identifier

ColumnType = Literal["string", "int", "long", "double", "boolean", "date", "timestamp", "array<string>"]

LEAST_RETENTION_DAYS = 7
"""Minimum retention. Unpublished files of a failed night may be deleted after that many days."""


@dataclass(frozen=True)
class Column(Declaration):
    """A column of a table.

    Attributes:
        name: Name of the column.
        type: Type in Spark and Delta.
        comment: Meaning of the column, with its unit; readers of the table see it.
        nullable: Whether the column may be null.
        unit: Unit, where a change of it would break computations. Changing it is a breaking change of the contract
            (:mod:`nightjar.validation.contract_versions`).
    """

    name: Name
    type: ColumnType
    comment: Text
    nullable: bool = True
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class TableSchema(Declaration):
    """A Delta table: name, columns, key and partitions.

    Every table is partitioned by ``ds``. A table with several writers (quarantine, drift) has a second
    partition column, so that each writer replaces its own part of a night.

    Attributes:
        name: ``<schema>/<table>``, below the lake's root.
        comment: What a row is.
        columns: All columns, including partition columns.
        key: Columns that identify a row within a night; empty for none.
        partition_by: ``ds``, optionally with a second column.
        append_only: Whether rows are only appended; its small files are compacted.
        retention_days: Days for which replaced versions stay readable and unreferenced files are kept.
    """

    name: str
    comment: Text
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ("ds",)
    append_only: bool = False
    retention_days: Annotated[int, Bounds(low=LEAST_RETENTION_DAYS)] = 30

    def check(self) -> None:
        """Check that names are unique, and that keys and partitions are columns."""
        where = f"table {self.name}, TableSchema"
        for part in self.name.split("/"):
            check_identifier(part, field="table")
        check_unique(self.column_names, kind="column", where=f"{where}.columns")
        check_unique(self.key, kind="column", where=f"{where}.key")
        for name in self.key:
            check_choice(name, self.column_names, kind="column", where=f"{where}.key")
        if self.partition_by[:1] != ("ds",) or not set(self.partition_by) <= set(self.column_names):
            refuse(
                f"partition_by is {self.partition_by}",
                where=f"{where}.partition_by",
                fix="begin with 'ds', and name columns of the table",
            )

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)


DS = Column("ds", "date", "Night: the local day that has ended when the row was made.", nullable=False)
LANDED = (
    Column("source_file", "string", "Landed file that held the row.", nullable=False),
    Column("landed_at", "timestamp", "When that file landed (UTC).", nullable=False),
)
"""Last columns of each raw table: the origin of its rows."""
