"""Sources of a use case: their files, raw tables and rules. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nightjar.declaration.declared import (
    Count,
    CountOrZero,
    Declaration,
    Share,
    check_choice,
    check_known,
    check_unique,
    refuse,
)
from nightjar.declaration.reserved import check_sql_words
from nightjar.declaration.rules import NightRule, Rule, check_rules
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema

LANDED_COLUMNS = {column.name: column.type for column in (DS, *LANDED)}
"""Columns of every raw table that are not in the landed file, with their types."""
_NUMBERS = frozenset({"int", "long", "double"})
_FIGURE_TYPES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("mean", "std", "p05", "p25", "p50", "p75", "p95"), _NUMBERS),
    "distance": _NUMBERS | {"string"},
    "newest_age_hours": frozenset({"timestamp"}),
}
"""Night figure to the column types that have it. A figure that is not listed exists for every type."""
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.csv")


@dataclass(frozen=True, kw_only=True)
class Snapshot(Declaration):
    """A slowly changing table: a row is valid from the night on which it lands until another row replaces it.

    Its file lands only on nights with something new; the manifest names it then. Features read for each night the rows
    that are valid then, as if they had landed that night.

    Attributes:
        holds: What a file holds: ``all`` rows, so that the row of a key that is left out ends, or ``changes``, rows
            that replace those with the same key.
        max_age_nights: Nights after the last file until features stop being built; None for no limit.
    """

    holds: Literal["all", "changes"] = "changes"
    max_age_nights: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Source(Declaration):
    """A file that lands each night, and its raw table.

    Attributes:
        table: The raw table, ``raw/<name>``. Its columns except ``ds``, ``source_file`` and ``landed_at`` must be in
            the file's header, in any order.
        file: File name in the night's landing folder (CSV with a header, UTF-8, ``NA`` or empty for null).
        rules: Row rules. Nulls and duplicates of the key are checked anyway; do not repeat them.
        night_rules: Night rules: volume, freshness, missing values, distribution.
        expected_to_vary: Columns whose values are expected to vary (the date, the rain). Only their share of nulls is
            compared with the last nights.
        max_rejected_share: Maximum share of rows that may break a ``reject_row`` rule before the night stops.
        snapshot: How rows stay valid until they are replaced; None for a source that lands every night.
    """

    table: TableSchema
    file: str
    rules: tuple[Rule, ...] = ()
    night_rules: tuple[NightRule, ...] = ()
    expected_to_vary: tuple[str, ...] = ()
    max_rejected_share: Share = 0.02
    snapshot: Snapshot | None = None

    def check(self) -> None:
        """Check that table, file and rules are consistent."""
        where = f"source {self.table.name}"
        if not re.fullmatch(r"raw/[^/]+", self.table.name):
            refuse(f"the table is {self.table.name}", where=f"{where}, Source.table", fix="name it raw/<source>")
        if not _FILE.fullmatch(self.file):
            refuse(
                f"file is {self.file!r}",
                where=f"{where}, Source.file",
                fix="give the name of a CSV file, without a folder, e.g. orders.csv",
            )
        types = {column.name: column.type for column in self.table.columns}
        self._check_columns(types, where=f"{where}, Source.table")
        check_known(self.expected_to_vary, types, kind="column", where=f"{where}, Source.expected_to_vary")
        check_rules(self.rules, types, where=f"{where}, Source.rules")
        check_unique((rule.name for rule in self.night_rules), kind="rule", where=f"{where}, Source.night_rules")
        for rule in self.night_rules:
            _check_night_rule(rule, types, where=f"{where}, rule {rule.name}")

    def _check_columns(self, types: Mapping[str, str], *, where: str) -> None:
        for name, kind in LANDED_COLUMNS.items():
            if types.get(name) != kind:
                refuse(
                    f"column {name} is {types.get(name, 'missing')}, not {kind}",
                    where=where,
                    fix="declare ds (date), source_file (string) and landed_at (timestamp) beside the file's columns",
                )
        check_sql_words(types, where=where)
        if not self.file_columns or any(column.type == "array<string>" for column in self.file_columns):
            refuse(
                "the file has no column" if not self.file_columns else "a CSV field cannot hold an array",
                where=where,
                fix="declare the file's columns as string, int, long, double, boolean, date or timestamp",
            )

    @property
    def name(self) -> str:
        """Name of the source: the name of its raw table without ``raw/``."""
        return self.table.name.removeprefix("raw/")

    @property
    def file_columns(self) -> tuple[Column, ...]:
        """Columns of the file: those of the table without ``ds``, ``source_file`` and ``landed_at``."""
        return tuple(c for c in self.table.columns if c.name not in LANDED_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Data(Declaration):
    """What lands each night, and what features and labels are built from.

    Attributes:
        sources: Files that land each night.
        features_from: Name of the source with one row per row of the feature table.
        labels_from: Name of the source with one row per row of the label table.
        history_nights: Number of preceding nights that a night's features read.
        contract_version: Version of the contract; raise it with each breaking change of the declared tables
            (:mod:`nightjar.validation.contract_versions`).
        replay: Whether a recorded history takes the place of a source system: the task ``land`` then lands each night's
            files by the module ``landing`` of the use case's folder.
    """

    sources: tuple[Source, ...]
    features_from: str
    labels_from: str
    history_nights: CountOrZero = 0
    contract_version: Count = 1
    replay: bool = False

    def check(self) -> None:
        """Check that sources and files are unique, and that features and labels come from declared sources."""
        names = [source.name for source in self.sources]
        check_unique(names, kind="source", where="Data.sources")
        check_unique((source.file for source in self.sources), kind="file", where="Data.sources")
        check_choice(self.features_from, names, kind="source", where="Data.features_from")
        check_choice(self.labels_from, names, kind="source", where="Data.labels_from")
        snapshots = {source.name for source in self.sources if source.snapshot}
        for field in ("features_from", "labels_from"):
            if getattr(self, field) in snapshots:
                refuse(
                    f"{field} names {getattr(self, field)}, a snapshot, which has no rows of its own for each night",
                    where=f"Data.{field}",
                    fix="name a source that lands every night, and join the snapshot in features.py",
                )


def _check_night_rule(rule: NightRule, types: Mapping[str, str], *, where: str) -> None:
    if not rule.column:
        return
    check_choice(rule.column, types, kind="column", where=where)
    allowed_types = _FIGURE_TYPES.get(rule.figure)
    if allowed_types and types[rule.column] not in allowed_types:
        refuse(
            f"{rule.column} is of type {types[rule.column]}, which has no {rule.figure}",
            where=where,
            fix=f"choose a column of type {', '.join(sorted(allowed_types))}, or another figure",
        )
