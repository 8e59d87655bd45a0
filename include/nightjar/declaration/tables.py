"""Table schemas, declared once: Spark, Arrow, the contracts and the data dictionary are all made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from nightjar.declaration.declared import Bounds, Declaration, Name, Text, check_choice, check_unique, refuse
from nightjar.protocol.names import check_identifier

ColumnType = Literal["string", "int", "long", "double", "boolean", "date", "timestamp", "array<string>"]

LEAST_RETENTION_DAYS = 7
"""A night that is red for so long is not in flight any more: its unpublished files may go."""


@dataclass(frozen=True)
class Column(Declaration):
    """One column: its name, type, meaning (with unit) and whether it may be null.

    ``unit`` is the unit apart from the words, where a change of it would break what is computed: a contract that
    changes it is another contract (:mod:`nightjar.validation.contract_versions`).
    """

    name: Name
    type: ColumnType
    comment: Text
    nullable: bool = True
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class TableSchema(Declaration):
    """A Delta table: where it lies below the lake's root, its columns, its key and its partitions.

    Every table is partitioned by ``ds``; one that several writers share (quarantine, drift) by a second column too, so
    that each replaces its own part of a night.

    Attributes:
        name: Below the lake's root, ``<schema>/<table>``.
        comment: What its rows are.
        columns: All of them, partition columns too.
        key: Columns that tell a night's rows apart; empty for none.
        partition_by: ``ds``, and perhaps a second one.
        append_only: Nothing is ever replaced, so that small files pile up, and are put together.
        retention_days: So long what was replaced stays readable by version, and files that no version holds stay.
    """

    name: str
    comment: Text
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ("ds",)
    append_only: bool = False
    retention_days: Annotated[int, Bounds(low=LEAST_RETENTION_DAYS)] = 30

    def check(self) -> None:
        """Refuse names that occur twice, and keys and partitions that are no columns."""
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
        return tuple(column.name for column in self.columns)


DS = Column("ds", "date", "Night: the local day that has ended when the row was made.", nullable=False)
LANDED = (
    Column("source_file", "string", "Landed file that held the row.", nullable=False),
    Column("landed_at", "timestamp", "When that file landed (UTC).", nullable=False),
)
"""The last columns of each raw table: where its rows came from."""
