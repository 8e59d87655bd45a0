"""Build features and labels: raw tables to ``features/<use_case>`` and ``labels/<use_case>``, for whole nights.

The computation is the use case's own (module ``features`` of its folder). This program pins what it reads, holds the
rows to account, and replaces exactly the nights asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import reduce
from importlib import import_module
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from nightjar.contracts.errors import RowCountError, SourceError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.nights import Nights
from nightjar.contracts.tables import TableSchema
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.lake import delta
from nightjar.lake.delta import DataFile
from nightjar_spark.io import read_table, write_unpublished
from nightjar_spark.main import main

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Build the features and labels of the spec's nights.

    Raises:
        SourceError: when a night has no entities to predict, or no rows that labels are made of.
        RowCountError: when a table does not hold one row for each row that it is made from.
        LakeError: when a raw table is not there.
    """
    use_case = load_use_case(spec.use_case)
    nights = spec.nights(use_case.timezone)
    module: Any = import_module(f"use_cases.{use_case.name}.features")
    phases = _Phases()
    versions = {s.table.name: delta.open_table(spec.lake, s.table.name).version() for s in use_case.sources}
    tables = _read(spark, spec.lake, use_case, nights, versions, module.HISTORY_DAYS)
    expected = _rows_by_source(tables, (module.FEATURES_FROM, module.LABELS_FROM), nights)
    phases.end("count")
    features, labels = use_case.feature_table, use_case.label_table
    feature_files = write_unpublished(module.build_features(tables, nights), spec.lake, features)
    _check_rows(features, feature_files, expected[module.FEATURES_FROM], nights)
    phases.end("features")
    label_files = write_unpublished(module.build_labels(tables, nights), spec.lake, labels)
    _check_rows(labels, label_files, expected[module.LABELS_FROM], nights)
    phases.end("labels")
    outputs = {  # only now: a table that does not add up leaves both at their last version
        features.name: delta.commit(spec.lake, features, feature_files, nights, run_id=spec.run_id),
        labels.name: delta.commit(spec.lake, labels, label_files, nights, run_id=spec.run_id),
    }
    phases.end("commit")
    return JobResult(
        status="succeeded",
        rows_in=sum(expected.values()),
        rows_out=sum(file.rows for file in (*feature_files, *label_files)),
        inputs=versions,
        outputs=outputs,
        seconds=phases.seconds,
    )


class _Phases:
    """Wall-clock seconds of one phase after another."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.monotonic()

    def end(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase] = round(now - self._started, 3)
        self._started = now


def _read(
    spark: SparkSession, lake: str, use_case: UseCase, nights: Nights, versions: Mapping[str, int], history_days: int
) -> dict[str, DataFrame]:
    """Source name to its rows of the nights and of the days before that history looks at, at the pinned versions."""
    first = nights.first - timedelta(days=history_days)
    wanted = list(Nights(first=first, last=nights.last, timezone=nights.timezone))
    return {
        source.name: read_table(spark, lake, source.table.name, nights=wanted, version=versions[source.table.name])
        for source in use_case.sources
    }


def _rows_by_source(tables: Mapping[str, DataFrame], sources: Sequence[str], nights: Nights) -> dict[str, int]:
    """Rows of each source in the nights, in one Spark job; every night must have some of each."""
    inside = [
        tables[source].where(F.col("ds").between(nights.first, nights.last)).select(F.lit(source).alias("source"), "ds")
        for source in sources
    ]
    counts = {
        (row["source"], row["ds"]): row["count"] for row in _union(inside).groupBy("source", "ds").count().collect()
    }
    for source in sources:
        if empty := [night for night in nights if (source, night) not in counts]:
            raise SourceError(
                f"raw/{source} has no rows for {', '.join(map(str, empty[:3]))}{', ...' if len(empty) > 3 else ''}",
                where=f"raw/{source}",
                how_many=len(empty),
                fix="run land and ingest for these nights, then clear build_features",
            )
    return {source: sum(rows for (name, _), rows in counts.items() if name == source) for source in sources}


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, frames)


def _check_rows(schema: TableSchema, written: Sequence[DataFile], expected: int, nights: Nights) -> None:
    rows = sum(file.rows for file in written)
    if rows != expected:
        raise RowCountError(
            f"{schema.name} would get {rows} rows, made from {expected}",
            where=f"{schema.name} {nights}",
            how_many=abs(rows - expected),
            fix="look for duplicate keys in the raw tables of these nights; nothing was published",
        )


if __name__ == "__main__":
    main(run)
