"""Ingest landed files into ``raw/<source>``, and rows that break their contract into ``quarantine/<use_case>``.

All rows are checked and written before raw tables are published: a night that is missing, invalid or beyond its
tolerance leaves every raw table unchanged. Quarantine, warnings and Data Docs are published in any case, to show the
problem.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import History, write_figures, write_warnings
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.errors import RowCountError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.names import BROKEN_RULES, MALFORMED, TEXT
from nightjar.protocol.results import IngestResult, SourceRows
from nightjar.settings.environment import Settings
from nightjar.timing import timed
from nightjar.validation import contract_versions
from nightjar.validation.judged import Judged
from nightjar.validation.landing import LandedFile, check_landing
from nightjar.validation.tolerance import check_rows_read
from nightjar_spark.concurrency import run_concurrently
from nightjar_spark.contracts import is_rejected
from nightjar_spark.io import write_unpublished
from nightjar_spark.landing_verdict import Annotated, annotate_source, judge_landed, validate_landed
from nightjar_spark.main import main

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> IngestResult:
    """Ingest the nights of ``spec`` from the environment's landing.

    Raises:
        ConfigurationError: for nights in the future.
        SourceError: for files that are missing, empty, truncated, without rows or of another schema.
        ContractError: for a source that rejects more of a night than it tolerates or breaks a rule that stops the
            night, and for a contract that breaks its readers.
        RowCountError: when rows were lost or duplicated.
        StorageFullError: when the lake is full.
    """
    landing = Settings.from_environment().landing
    return ingest(spark, spec, load_use_case(spec.use_case), landing)


def ingest(spark: SparkSession, spec: JobSpec, use_case: UseCase, landing: str) -> IngestResult:
    """Run :func:`run` for a given use case and landing."""
    nights = spec.nights(use_case.schedule.timezone)
    nights.check_past(datetime.now(UTC))
    seconds: dict[str, float] = {}
    contract = contract_versions.check(Lake(spec.lake), use_case)
    with timed(seconds, "check_landing"):
        landed = check_landing(landing, use_case, nights)
    result = _ingest_landed(spark, spec, use_case, landed, seconds)
    if contract.changed:
        contract_versions.record(spec, contract)
    return result


def _ingest_landed(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, landed: Sequence[LandedFile], seconds: dict[str, float]
) -> IngestResult:
    """Read, check and write all rows, then publish."""
    lake = Lake(spec.lake)
    nights = spec.nights(use_case.schedule.timezone)
    try:
        with timed(seconds, "read_and_check"):
            annotated = run_concurrently(
                spark, lambda source: annotate_source(spark, source, landed), use_case.data.sources
            )
        with timed(seconds, "quarantine"):
            quarantined = _quarantine(annotated, spec, use_case)
        check_rows_read(landed, {item.source.name: item.counts for item in annotated})
        with timed(seconds, "judge"):
            judged = judge_landed(annotated, lake, use_case, nights, landed)
            broken = [check for check in judged if not check.kept]
            write_warnings(lake, use_case.name, broken, nights, run_id=spec.run_id)
        with timed(seconds, "great_expectations"):
            page = validate_landed(annotated, judged, spec, use_case, nights)
        with timed(seconds, "write"):
            written = run_concurrently(spark, lambda item: _write_accepted(item, lake), annotated)
        with timed(seconds, "publish"):
            published = _publish(annotated, written, spec, use_case)
    finally:
        spark.catalog.clearCache()  # also of sources that were read before another one failed
    outputs = {use_case.quarantine_table.name: quarantined, **published}
    return _result(annotated, broken, page, outputs, seconds)


def _quarantine(annotated: Sequence[Annotated], spec: JobSpec, use_case: UseCase) -> int:
    """Publish the rejected rows of all sources; they replace those of an earlier run of these nights."""
    lake = Lake(spec.lake)
    table = use_case.quarantine_table
    rejected = [_rejected_rows(item, spec) for item in annotated if item.rejected]
    written = write_unpublished(reduce(DataFrame.unionByName, rejected), lake, table) if rejected else []
    _check_count("quarantined", table.name, _rows(written), sum(item.rejected for item in annotated))
    return lake.table(table).commit(
        written,
        spec.nights(use_case.schedule.timezone),
        run_id=spec.run_id,
        within={"table_name": [item.source.table.name for item in annotated]},
    )


def _rejected_rows(item: Annotated, spec: JobSpec) -> DataFrame:
    """Return rejected rows for the quarantine, with the text as it landed, so that nothing is lost in parsing."""
    as_landed = F.when(F.col(MALFORMED).isNotNull(), F.to_json(MALFORMED)).otherwise(
        F.to_json(TEXT, {"ignoreNullFields": "false"})
    )
    return item.rows.where(is_rejected(item.rules)).select(
        "ds",
        F.lit(item.source.table.name).alias("table_name"),
        F.col(BROKEN_RULES).alias("rules"),
        as_landed.alias("row_json"),
        F.lit(spec.run_id).alias("dag_run_id"),
    )


def _write_accepted(item: Annotated, lake: Lake) -> list[DataFile]:
    table = item.source.table
    written = write_unpublished(item.rows.where(~is_rejected(item.rules)), lake, table)
    _check_count("written", table.name, _rows(written), item.accepted)
    return written


def _publish(
    annotated: Sequence[Annotated], written: Sequence[list[DataFile]], spec: JobSpec, use_case: UseCase
) -> dict[str, int]:
    """Publish the figures and the raw tables; return the version of each raw table."""
    lake, nights = Lake(spec.lake), spec.nights(use_case.schedule.timezone)
    figures: History = {item.source.table.name: dict(item.figures) for item in annotated}
    write_figures(lake, use_case.name, figures, nights, run_id=spec.run_id)
    return {
        item.source.table.name: lake.table(item.source.table).commit(files, nights, run_id=spec.run_id)
        for item, files in zip(annotated, written, strict=True)
    }


def _rows(files: Sequence[DataFile]) -> int:
    return sum(file.rows for file in files)


def _check_count(done: str, table: str, rows: int, expected: int) -> None:
    if rows != expected:
        raise RowCountError(
            f"{rows} of {expected} rows were {done}",
            where=table,
            how_many=abs(rows - expected),
            fix="nothing of this source was published; clear the task, and report a bug if it happens again",
        )


def _result(
    annotated: Sequence[Annotated],
    broken: Sequence[Judged],
    page: str,
    outputs: dict[str, int],
    seconds: dict[str, float],
) -> IngestResult:
    accepted = sum(item.accepted for item in annotated)
    rejected = sum(item.rejected for item in annotated)
    by_source = {
        item.source.name: SourceRows(
            rows_in=item.accepted + item.rejected,
            rows_out=item.accepted,
            rows_rejected=item.rejected,
            broken_rules=item.broken,
        )
        for item in annotated
    }
    return IngestResult(
        rows_in=accepted + rejected,
        rows_out=accepted,
        rows_rejected=rejected,
        outputs=outputs,
        sources=by_source,
        warnings=tuple(f"{check.night}: {check.what}" for check in broken),
        links={"data_docs": page},
        seconds=seconds,
    )


if __name__ == "__main__":
    main(run)
