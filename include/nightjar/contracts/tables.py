"""Table schemas, declared once: Spark, Arrow, the contracts and the data dictionary are all made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nightjar.contracts.names import check_identifier

ColumnType = Literal["string", "int", "long", "double", "boolean", "date", "timestamp", "array<string>"]

LEAST_RETENTION_DAYS = 7
"""A night that is red for so long is not in flight any more: its unpublished files may go."""


@dataclass(frozen=True)
class Column:
    """One column: its name, type, meaning (with unit) and whether it may be null.

    ``unit`` is the unit apart from the words, where a change of it would break what is computed: a contract that
    changes it is another contract (:mod:`nightjar.validation.contract_versions`).
    """

    name: str
    type: ColumnType
    comment: str
    nullable: bool = True
    unit: str = ""

    def __post_init__(self) -> None:
        check_identifier(self.name, field="column")


@dataclass(frozen=True, kw_only=True)
class TableSchema:
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
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ("ds",)
    append_only: bool = False
    retention_days: int = 30

    def __post_init__(self) -> None:
        for part in self.name.split("/"):
            check_identifier(part, field="table")
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: a column is declared twice: {names}")
        if missing := set(self.key) - set(names):
            raise ValueError(f"{self.name}: key columns {sorted(missing)} are not columns")
        if self.partition_by[:1] != ("ds",) or not set(self.partition_by) <= set(names):
            raise ValueError(f"{self.name}: partition columns {self.partition_by} must be columns and begin with 'ds'")
        if self.retention_days < LEAST_RETENTION_DAYS:
            raise ValueError(
                f"{self.name}: retention_days {self.retention_days} is less than {LEAST_RETENTION_DAYS}, in which a "
                "night may still be in flight"
            )

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


DS = Column("ds", "date", "Night: the local day that has ended when the row was made.", nullable=False)
