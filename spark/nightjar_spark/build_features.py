"""Build ``features/<use_case>`` and ``labels/<use_case>`` from the raw tables, for whole nights.

The use case's module ``features`` defines the computation. This program pins the versions that it reads, checks row
counts, and replaces exactly the requested nights.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import date, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.errors import RowCountError, SourceError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights, first_few
from nightjar.protocol.results import BuildFeaturesResult
from nightjar_spark.io import write_unpublished
from nightjar_spark.main import main
from nightjar_spark.raw_tables import read_raw

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)
MAX_MISSING_SHARE = 0.1
"""Allowed share of missing history: a lost night must not stop the following month; an almost empty history must."""


def run(spark: SparkSession, spec: JobSpec) -> BuildFeaturesResult:
    """Build the features and labels of the spec's nights.

    Raises:
        SourceError: when a night has no entities or no rows for labels, or when more than
            :data:`MAX_MISSING_SHARE` of its history is missing.
        RowCountError: when a table does not have one row for each row of its source.
        LakeError: when a raw table does not exist.
    """
    return build(spark, spec, load_use_case(spec.use_case))


def build(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> BuildFeaturesResult:
    """Run :func:`run` for a given use case."""
    lake = Lake(spec.lake)
    nights = spec.nights(use_case.schedule.timezone)
    module: Any = import_module(f"use_cases.{use_case.name}.features")
    phases = _Phases()
    raw = {source.name: lake.table(source.table).open() for source in use_case.data.sources}
    expected = {
        name: _rows(name, raw[name], nights) for name in (use_case.data.features_from, use_case.data.labels_from)
    }
    missing = _missing_history(raw[use_case.data.labels_from], use_case, nights)
    versions = {source.table.name: int(raw[source.name].version()) for source in use_case.data.sources}
    tables = read_raw(spark, lake, use_case, nights, versions)
    phases.end("read")
    features, labels = use_case.feature_table, use_case.label_table
    feature_files = write_unpublished(module.build_features(tables, nights), lake, features)
    _check_rows(features, feature_files, expected[use_case.data.features_from], nights)
    phases.end("features")
    label_files = write_unpublished(module.build_labels(tables, nights), lake, labels)
    _check_rows(labels, label_files, expected[use_case.data.labels_from], nights)
    phases.end("labels")
    outputs = {  # after both checks: a wrong row count leaves both tables unchanged
        features.name: lake.table(features).commit(feature_files, nights, run_id=spec.run_id),
        labels.name: lake.table(labels).commit(label_files, nights, run_id=spec.run_id),
    }
    phases.end("commit")
    return BuildFeaturesResult(
        rows_in=sum(expected.values()),
        rows_out=sum(file.rows for file in (*feature_files, *label_files)),
        inputs=versions,
        outputs=outputs,
        missing_history=tuple(missing),
        seconds=phases.seconds,
    )


class _Phases:
    """Wall-clock seconds of consecutive phases."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.monotonic()

    def end(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase] = round(now - self._started, 3)
        self._started = now


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


def _check_rows(schema: TableSchema, written: Sequence[DataFile], expected: int, nights: Nights) -> None:
    rows = sum(file.rows for file in written)
    if rows != expected:
        raise RowCountError(
            f"{schema.name} would have {rows} rows, its source has {expected}",
            where=f"{schema.name} {nights}",
            how_many=abs(rows - expected),
            fix="check the raw tables of these nights for duplicate keys; nothing was published",
        )


if __name__ == "__main__":
    main(run)
