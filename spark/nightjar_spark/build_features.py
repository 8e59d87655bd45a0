"""Build ``features/<use_case>`` and ``labels/<use_case>`` from the raw tables, for whole nights.

The use case's module ``features`` defines the computation. This program pins the versions that it reads, checks row
counts, and replaces exactly the requested nights.
"""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.lake import Lake
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import BuildFeaturesResult
from nightjar_spark.feature_inputs import check_rows, read_inputs
from nightjar_spark.feature_tables import build_tables
from nightjar_spark.io import write_unpublished
from nightjar_spark.main import main


def run(spark: SparkSession, spec: JobSpec) -> BuildFeaturesResult:
    """Build the features and labels of the spec's nights.

    Raises:
        SourceError: when a night has no entities or no rows for labels, or when too much of its history is missing.
        RowCountError: when a table does not have one row for each row of its source.
        LakeError: when a raw table does not exist.
    """
    return build(spark, spec, load_use_case(spec.use_case))


def build(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> BuildFeaturesResult:
    """Run :func:`run` for a given use case."""
    lake = Lake(spec.lake)
    nights = spec.nights(use_case.schedule.timezone)
    phases = _Phases()
    inputs = read_inputs(spark, lake, use_case, nights)
    phases.end("read")
    built = build_tables(use_case, inputs, nights)
    features, labels = use_case.feature_table, use_case.label_table
    feature_files = write_unpublished(built.features, lake, features)
    feature_rows = sum(file.rows for file in feature_files)
    check_rows(features, feature_rows, built.feature_rows, nights)
    phases.end("features")
    label_files = write_unpublished(built.labels, lake, labels)
    label_rows = sum(file.rows for file in label_files)
    check_rows(labels, label_rows, built.label_rows, nights)
    phases.end("labels")
    outputs = {  # after both checks: a wrong row count leaves both tables unchanged
        features.name: lake.table(features).commit(feature_files, nights, run_id=spec.run_id),
        labels.name: lake.table(labels).commit(label_files, nights, run_id=spec.run_id),
    }
    phases.end("commit")
    return BuildFeaturesResult(
        rows_in=sum(inputs.rows.values()),
        rows_out=feature_rows + label_rows,
        inputs=inputs.versions,
        outputs=outputs,
        missing_history=tuple(inputs.missing),
        metrics=dict(built.metrics()),
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


if __name__ == "__main__":
    main(run)
