"""The raw rows that features and labels are built from, with the number of rows to expect."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession

from nightjar.declaration.data import Source
from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import RowCountError, SourceError
from nightjar.protocol.nights import Nights, first_few
from nightjar_spark.raw_tables import read_raw

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)
MAX_MISSING_SHARE = 0.1
"""Allowed share of missing history: a lost night must not stop the following month; an almost empty history must."""


@dataclass(frozen=True, kw_only=True)
class FeatureInputs:
    """Raw tables of some nights and of their history.

    Attributes:
        tables: Source name to its rows.
        versions: Raw table name to the version that is read.
        rows: Rows in the nights of the sources of entities and of labels.
        missing: Missing nights of the history.
    """

    tables: dict[str, DataFrame]
    versions: dict[str, int]
    rows: dict[str, int]
    missing: list[date]


def read_inputs(spark: SparkSession, lake: Lake, use_case: UseCase, nights: Nights) -> FeatureInputs:
    """Pin the versions of the raw tables, check that the nights and their history are there, and read them.

    Raises:
        SourceError: when a night has no entities or no rows for labels, when a snapshot is missing or too old, or when
            more than :data:`MAX_MISSING_SHARE` of its history is missing.
        LakeError: when a raw table does not exist.
    """
    raw = {source.name: lake.table(source.table).open() for source in use_case.data.sources}
    rows = {name: _rows(name, raw[name], nights) for name in (use_case.data.features_from, use_case.data.labels_from)}
    for source in use_case.data.sources:
        if source.snapshot:
            _check_age(source, raw[source.name], nights)
    missing = _missing_history(raw[use_case.data.labels_from], use_case, nights)
    versions = {source.table.name: int(raw[source.name].version()) for source in use_case.data.sources}
    tables = read_raw(spark, lake, use_case, nights, versions)
    return FeatureInputs(tables=tables, versions=versions, rows=rows, missing=missing)


def _check_age(source: Source, table: DeltaTable, nights: Nights) -> None:
    """Check that each night has a snapshot that is not too old."""
    landed = sorted({date.fromisoformat(file.partition["ds"]) for file in active_files(table, {}) if file.rows})
    newest = {night: max((day for day in landed if day <= night), default=None) for night in nights}
    if without := [night for night, day in newest.items() if day is None]:
        raise SourceError(
            f"no file of {source.file} has landed until {first_few(without)}",
            where=source.table.name,
            how_many=len(without),
            fix="land a first file of the snapshot, run ingest for its night, then clear build_features",
        )
    limit = source.snapshot.max_age_nights if source.snapshot else None
    ages = {night: (night - day).days for night, day in newest.items() if day is not None}
    if limit is not None and (late := [night for night, age in ages.items() if age > limit]):
        raise SourceError(
            f"the snapshot {source.file} is {ages[late[0]]} nights old on {late[0]}, more than {limit}",
            where=source.table.name,
            how_many=len(late),
            fix="have the source system deliver it, run ingest for its night, then clear build_features; or raise "
            "max_age_nights of the snapshot",
        )


def check_rows(schema: TableSchema, rows: int, expected: int, nights: Nights) -> None:
    """Check that a table has one row for each row of its source.

    Raises:
        RowCountError: naming both numbers.
    """
    if rows != expected:
        raise RowCountError(
            f"{schema.name} would have {rows} rows, its source has {expected}",
            where=f"{schema.name} {nights}",
            how_many=abs(rows - expected),
            fix="check the raw tables of these nights for duplicate keys; nothing was published",
        )


def _rows(source: str, table: DeltaTable, nights: Nights) -> int:
    """Count a source's rows in the nights; every night must have some."""
    rows = delta.rows_by_night(table, nights)
    if empty := [night for night, count in rows.items() if not count]:
        raise SourceError(
            f"raw/{source} has no rows for {first_few(empty)}",
            where=f"raw/{source}",
            how_many=len(empty),
            fix="run land and ingest for these nights, then clear build_features",
        )
    return sum(rows.values())


def _missing_history(labels: DeltaTable, use_case: UseCase, nights: Nights) -> list[date]:
    """Return the missing nights of the features' history: few are logged, more raise an error."""
    first = max(use_case.schedule.first_night, nights.first - timedelta(days=use_case.data.history_nights))
    history = [first + timedelta(days=i) for i in range((nights.first - first).days)]
    missing = [night for night, count in delta.rows_by_night(labels, history).items() if not count]
    if len(missing) > MAX_MISSING_SHARE * len(history):
        raise SourceError(
            f"{len(missing)} of the {len(history)} nights in the history of {nights.first} are missing: "
            f"{first_few(missing)}",
            where=f"raw/{use_case.data.labels_from}",
            how_many=len(missing),
            fix=f"run the nights before first (a backfill, or {use_case.name}_history from {missing[0]}), "
            "then clear build_features",
        )
    if missing:
        log.warning("the history lacks %d of %d nights: %s", len(missing), len(history), first_few(missing))
    return missing
