"""Validate the interval's feature table and its raw tables against their contracts.

Great Expectations gives the verdict and writes the Data Docs, also when validation fails. A broken contract stops the
night before scoring.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from nightjar.declaration.data import Source
from nightjar.declaration.rules import Rule
from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import ContractError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.names import path_segment
from nightjar.protocol.nights import Nights
from nightjar.protocol.results import TableRows, ValidateFeaturesResult
from nightjar.timing import timed
from nightjar.validation.data_docs import docs_uri, local_site
from nightjar.validation.expectations import INDEX, TableCheck, TableVerdict, Verdict, validate
from nightjar.validation.table_rules import table_rules
from nightjar_spark.concurrency import run_concurrently
from nightjar_spark.contracts import annotate, count_by_night
from nightjar_spark.io import read_table
from nightjar_spark.known_numbers import known
from nightjar_spark.main import main

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> ValidateFeaturesResult:
    """Validate the nights of ``spec``.

    Raises:
        ContractError: when a table breaks its contract or has no rows, or the features have other row counts than their
            source.
        LakeError: when a table does not exist.
    """
    return validate_features(spark, spec, load_use_case(spec.use_case))


def validate_features(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> ValidateFeaturesResult:
    """Run :func:`run` for a given use case."""
    lake = Lake(spec.lake)
    seconds: dict[str, float] = {}
    nights = spec.nights(use_case.schedule.timezone)
    features = use_case.feature_table
    contracts = {source.table: table_rules(source.table, source.rules) for source in _sources(use_case)}
    contracts[features] = table_rules(features, use_case.features.rules)
    versions = {schema.name: lake.table(schema).open().version() for schema in contracts}
    with timed(seconds, "count"):
        frames = {
            name: read_table(spark, lake, name, nights=nights, version=version) for name, version in versions.items()
        }
        counted = run_concurrently(
            spark, lambda c: _check(frames[c[0].name], c[0], c[1], nights), list(contracts.items())
        )
    checks = {check.table: check for check in counted}
    if use_case.problem.has_rows_of_source:
        entities = checks[use_case.source(use_case.data.features_from).table.name].counts
        expected = {count.night: count.rows for count in entities}
        checks[features.name] = replace(checks[features.name], expected_rows=expected)
    docs = docs_uri(lake, use_case.name)
    with timed(seconds, "great_expectations"), local_site(docs) as site:
        first = [checks.pop(features.name)]
        verdict = validate([*first, *checks.values()], site=site, run_name=path_segment(spec.run_id))
    for table in verdict.tables:
        log.info("%s: %d rows, %s", table.check.table, table.check.rows, "; ".join(table.failed) or "contract met")
    _stop_if_broken(verdict, nights, docs)
    return _result(verdict, versions, docs, seconds)


def _sources(use_case: UseCase) -> list[Source]:
    """Return the sources of entities and labels, and all sources with timestamps.

    Reference data (planes, airports) was checked by `ingest`.
    """
    named = {use_case.data.features_from, use_case.data.labels_from}
    return [
        source
        for source in use_case.data.sources
        if source.name in named
        or (not source.snapshot and any(column.type == "timestamp" for column in source.file_columns))
    ]


def _check(frame: DataFrame, schema: TableSchema, rules: Sequence[Rule], nights: Nights) -> TableCheck:
    """Count rows by night and rule. A missing declared column is null for the rules and reported in the verdict.

    Numbers that are missing for a model are null for the rules.
    """
    missing = [column for column in schema.columns if column.name not in frame.columns]
    if missing:
        frame = frame.withColumns({column.name: F.lit(None).cast(column.type) for column in missing})
    frame = frame.withColumns({c.name: known(F.col(c.name)) for c in schema.columns if c.type == "double"})
    return TableCheck(
        table=schema.name,
        rules=rules,
        counts=count_by_night(annotate(frame, schema, rules), rules),
        nights=list(nights),
        missing_columns=[column.name for column in missing],
    )


def _result(verdict: Verdict, versions: dict[str, int], docs: str, seconds: dict[str, float]) -> ValidateFeaturesResult:
    features = verdict.tables[0]
    page = f"{docs}/{features.page}"
    return ValidateFeaturesResult(
        rows_in=features.check.rows,
        rows_out=features.check.rows,
        inputs=versions,
        data_docs=page,
        tables={
            table.check.table: TableRows(rows=table.check.rows, broken_rules=table.check.broken)
            for table in verdict.tables
        },
        links={"data_docs": page, "Data Docs of all runs": f"{docs}/{INDEX}"},
        seconds=seconds,
    )


def _stop_if_broken(verdict: Verdict, nights: Nights, docs: str) -> None:
    """Raise one error for all failed tables, features first."""
    failed = [table for table in verdict.tables if not table.success]
    if not failed:
        return
    raise ContractError(
        f"nights {nights}: " + "; ".join(_describe(table) for table in failed),
        where=f"{docs}/{failed[0].page}",
        how_many=sum(sum(table.check.broken.values()) for table in failed) or len(failed),
        fix="open that Data Docs page, correct the cause (land a source again, or correct features.py), "
        "then clear ingest and what follows it (docs/runbooks/contract.md)",
    )


def _describe(table: TableVerdict) -> str:
    """Describe the most severe problem of one table."""
    check = table.check
    if check.missing_columns:
        return f"{check.table} lacks the columns {', '.join(check.missing_columns)}"
    rows = {count.night: count.rows for count in check.counts}
    if empty := [night for night in check.nights if not rows.get(night)]:
        return f"{check.table} has no rows in {len(empty)} of {len(check.nights)} nights, first {empty[0]}"
    expected = check.expected_rows or rows
    if differing := [night for night in check.nights if rows[night] != expected.get(night, 0)]:
        night = differing[0]
        return (
            f"{check.table} has {rows[night]} rows for {expected.get(night, 0)} expected in night {night} "
            f"({len(differing)} such nights)"
        )
    broken = [rule for rule in check.rules if rule.severity != "warn" and rule.name in check.broken]
    if not broken:
        return f"{check.table} could not be judged ({'; '.join(table.failed) or 'an expectation has no result'})"
    worst = max(broken, key=lambda rule: check.broken[rule.name])
    rest = f", and {len(broken) - 1} more rules" if len(broken) > 1 else ""
    return (
        f"{check.table} breaks {worst.name} in {check.broken[worst.name]} of {check.rows} rows ({worst.reason}){rest}"
    )


if __name__ == "__main__":
    main(run)
