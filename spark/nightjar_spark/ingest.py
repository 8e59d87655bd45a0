"""Ingest: landed files to ``raw/<source>``, and the rows that break their contract to ``quarantine/<use_case>``.

Everything is checked and written before anything is published: a night that is missing, broken or beyond its tolerance
leaves every raw table at the version it had. The quarantine is published either way, so that people see the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from nightjar.contracts.errors import RowCountError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.rules import Rule
from nightjar.contracts.settings import Settings
from nightjar.contracts.use_case import Source, UseCase, load_use_case
from nightjar.lake import delta
from nightjar.lake.delta import DataFile, table_uri
from nightjar.timing import timed
from nightjar.validation.landing import LandedFile, check_landing
from nightjar.validation.table_rules import source_rules
from nightjar.validation.tolerance import NightCount, check_rows_read, check_tolerance
from nightjar_spark.contracts import annotate, count_by_night, is_rejected
from nightjar_spark.io import write_unpublished
from nightjar_spark.landed import MALFORMED_LINE, read_landed
from nightjar_spark.main import main
from nightjar_spark.together import together

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Annotated:
    """A source's rows of the interval, cached, each with the rules that it broke, and their counts by night."""

    source: Source
    rules: Sequence[Rule]
    rows: DataFrame
    counts: Sequence[NightCount]

    @property
    def accepted(self) -> int:
        return sum(count.accepted for count in self.counts)

    @property
    def rejected(self) -> int:
        return sum(count.rejected for count in self.counts)

    @property
    def broken(self) -> dict[str, int]:
        """Rule name to rows of the interval that break it, for the rules that some row breaks."""
        names = [rule.name for rule in self.rules]
        totals = {name: sum(count.broken.get(name, 0) for count in self.counts) for name in names}
        return {name: total for name, total in totals.items() if total}


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Ingest the nights of ``spec`` from the landing that the environment names.

    Raises:
        ConfigurationError: for nights in the future.
        SourceError: for files that are missing, empty, truncated, without rows or of another schema.
        ContractError: for a source that rejects more of a night than it tolerates.
        RowCountError: when rows got lost or doubled on the way.
        StorageFullError: when the lake takes no more bytes.
    """
    landing = Settings.from_environment().landing
    return ingest(spark, spec, load_use_case(spec.use_case), landing)


def ingest(spark: SparkSession, spec: JobSpec, use_case: UseCase, landing: str) -> JobResult:
    """:func:`run` for a given use case and landing area."""
    nights = spec.nights(use_case.timezone)
    nights.check_past(datetime.now(UTC))
    seconds: dict[str, float] = {}
    with timed(seconds, "check_landing"):
        landed = check_landing(landing, use_case, nights)
    return _ingest_landed(spark, spec, use_case, landed, seconds)


def _ingest_landed(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, landed: Sequence[LandedFile], seconds: dict[str, float]
) -> JobResult:
    """Read, check and write everything; then publish."""
    nights = spec.nights(use_case.timezone)
    try:
        with timed(seconds, "read_and_check"):
            annotated = together(spark, lambda source: _annotate(spark, source, landed), use_case.sources)
        with timed(seconds, "quarantine"):
            outputs = {use_case.quarantine_table.name: _quarantine(annotated, spec, use_case)}
        counts = {item.source.name: item.counts for item in annotated}
        check_rows_read(landed, counts)
        check_tolerance(
            counts,
            use_case.sources,
            {item.source.name: item.rules for item in annotated},
            quarantine=table_uri(spec.lake, use_case.quarantine_table.name),
        )
        with timed(seconds, "write"):
            files = together(spark, lambda item: _write_accepted(item, spec), annotated)
        with timed(seconds, "publish"):
            for item, written in zip(annotated, files, strict=True):
                table = item.source.table
                outputs[table.name] = delta.commit(spec.lake, table, written, nights, run_id=spec.run_id)
    finally:
        spark.catalog.clearCache()  # of sources that were read before another one failed, too
    return _result(annotated, outputs, seconds)


def _annotate(spark: SparkSession, source: Source, landed: Sequence[LandedFile]) -> _Annotated:
    """Read a source's files once, into the cache, and count by night; one Spark job."""
    rules = source_rules(source)
    mine = [file for file in landed if file.source == source.name]
    rows = annotate(read_landed(spark, source, mine), source.table, rules).cache()
    item = _Annotated(source=source, rules=rules, rows=rows, counts=count_by_night(rows, rules))
    log.info("%s: %d rows accepted, %d rejected %s", source.file, item.accepted, item.rejected, item.broken or "")
    return item


def _quarantine(annotated: Sequence[_Annotated], spec: JobSpec, use_case: UseCase) -> int:
    """Publish the rejected rows of all sources, in place of those of an earlier run of these nights."""
    table = use_case.quarantine_table
    rejected = [_rejected_rows(item, spec) for item in annotated if item.rejected]
    written = write_unpublished(reduce(DataFrame.unionByName, rejected), spec.lake, table) if rejected else []
    _same_count("quarantined", table.name, _rows(written), sum(item.rejected for item in annotated))
    return delta.commit(
        spec.lake,
        table,
        written,
        spec.nights(use_case.timezone),
        run_id=spec.run_id,
        within={"table": [item.source.table.name for item in annotated]},
    )


def _rejected_rows(item: _Annotated, spec: JobSpec) -> DataFrame:
    """Rejected rows as the quarantine holds them: the text as it landed, so that nothing is lost to a failed parse."""
    as_landed = F.when(
        F.col(MALFORMED_LINE).isNotNull(), F.to_json(F.struct(F.col(MALFORMED_LINE).alias("line")))
    ).otherwise(F.to_json("text", {"ignoreNullFields": "false"}))
    return item.rows.where(is_rejected(item.rules)).select(
        "ds",
        F.lit(item.source.table.name).alias("table"),
        F.col("broken_rules").alias("rules"),
        as_landed.alias("row"),
        F.lit(spec.run_id).alias("dag_run_id"),
    )


def _write_accepted(item: _Annotated, spec: JobSpec) -> list[DataFile]:
    table = item.source.table
    written = write_unpublished(item.rows.where(~is_rejected(item.rules)), spec.lake, table)
    _same_count("written", table.name, _rows(written), item.accepted)
    return written


def _rows(files: Sequence[DataFile]) -> int:
    return sum(file.rows for file in files)


def _same_count(done: str, table: str, rows: int, expected: int) -> None:
    if rows != expected:
        raise RowCountError(
            f"{rows} rows were {done} of {expected}",
            where=table,
            how_many=abs(rows - expected),
            fix="nothing of this source was published; clear the task, and report it when it comes back",
        )


def _result(annotated: Sequence[_Annotated], outputs: dict[str, int], seconds: dict[str, float]) -> JobResult:
    accepted = sum(item.accepted for item in annotated)
    rejected = sum(item.rejected for item in annotated)
    by_source: dict[str, dict[str, Any]] = {
        item.source.name: {
            "rows_in": item.accepted + item.rejected,
            "rows_out": item.accepted,
            "rows_rejected": item.rejected,
            "broken_rules": item.broken,
        }
        for item in annotated
    }
    return JobResult(
        status="succeeded",
        rows_in=accepted + rejected,
        rows_out=accepted,
        rows_rejected=rejected,
        outputs=outputs,
        values={"sources": by_source},
        seconds=seconds,
    )


if __name__ == "__main__":
    main(run)
