"""Columns of the score table that need all rows of a night: ranks of a ranking, alarms by capacity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyspark.sql import Column, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from nightjar.declaration.alarms import Capacity
from nightjar.declaration.problem import Binary
from nightjar.declaration.quantiles import DECISION
from nightjar.declaration.ranking import RANK, Ranking
from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.lake.delta import arrow_schema
from nightjar.lake.lake import Lake
from nightjar.protocol.data_file import DataFile
from nightjar.scoring.task import Scored
from nightjar_spark.io import spark_uri, write_unpublished

Completion = Callable[[UseCase], Mapping[str, Column]]
"""Returns the columns to complete, by name."""


def complete(spark: SparkSession, lake: Lake, use_case: UseCase, scored: Scored) -> Scored:
    """Write the scored rows once more with what needs all rows of their night; return the new files, unpublished too.

    Rows that are complete already are left as they are.
    """
    completion = _COMPLETIONS.get(use_case.problem.kind)
    columns = completion(use_case) if completion else {}
    if not columns:
        return scored
    parts = {
        variant: replace(part, files=_completed(spark, lake, use_case.score_table, part.files, columns))
        for variant, part in scored.parts.items()
    }
    shadow = _completed(spark, lake, use_case.shadow_table, scored.shadow_files, columns)
    return replace(scored, parts=parts, shadow_files=shadow)


def _rank(use_case: UseCase) -> Mapping[str, Column]:
    """Return the place of each item within its group and night."""
    ranking: Any = use_case.problem
    items = Window.partitionBy("ds", *ranking.group).orderBy(F.desc("prediction"), *use_case.key)
    return {RANK.name: F.row_number().over(items)}


def _alarms(use_case: UseCase) -> Mapping[str, Column]:
    """Return whether a row is among the highest predictions of its night, for alarms by capacity."""
    binary: Any = use_case.problem
    if not isinstance(binary.alarms, Capacity):
        return {}
    rows = Window.partitionBy("ds").orderBy(F.desc("prediction"), *use_case.key)
    return {DECISION: F.row_number().over(rows) <= binary.alarms.rows}


_COMPLETIONS: Mapping[str, Completion] = {Ranking.kind: _rank, Binary.kind: _alarms}


def _completed(
    spark: SparkSession, lake: Lake, schema: TableSchema, files: Sequence[DataFile], columns: Mapping[str, Column]
) -> tuple[DataFile, ...]:
    if not files:
        return ()
    uri = spark_uri(lake.table(schema).uri)
    reader = spark.read.schema(from_arrow_schema(arrow_schema(schema))).option("basePath", uri)
    rows = reader.parquet(*(f"{uri}/{file.path}" for file in files))
    return tuple(write_unpublished(rows.withColumns(dict(columns)), lake, schema))
