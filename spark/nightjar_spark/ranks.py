"""Ranks of scored items: the place of each within its group and night, once all its items are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from nightjar.declaration.ranking import RANK, Ranking
from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.lake.delta import arrow_schema
from nightjar.lake.lake import Lake
from nightjar.protocol.data_file import DataFile
from nightjar.scoring.task import Scored
from nightjar_spark.io import spark_uri, write_unpublished


def add_ranks(spark: SparkSession, lake: Lake, use_case: UseCase, scored: Scored) -> Scored:
    """Write the scored rows once more, with their ranks; the files are as unpublished as those that they replace."""
    parts = {
        variant: replace(part, files=_ranked(spark, lake, use_case, use_case.score_table, part.files))
        for variant, part in scored.parts.items()
    }
    shadow = _ranked(spark, lake, use_case, use_case.shadow_table, scored.shadow_files)
    return replace(scored, parts=parts, shadow_files=shadow)


def _ranked(
    spark: SparkSession, lake: Lake, use_case: UseCase, schema: TableSchema, files: Sequence[DataFile]
) -> tuple[DataFile, ...]:
    if not files:
        return ()
    uri = spark_uri(lake.table(schema).uri)
    reader = spark.read.schema(from_arrow_schema(arrow_schema(schema))).option("basePath", uri)
    rows = reader.parquet(*(f"{uri}/{file.path}" for file in files))
    group = cast(Ranking, use_case.problem).group
    items = Window.partitionBy("ds", *group).orderBy(F.desc("prediction"), *use_case.key)
    return tuple(write_unpublished(rows.withColumn(RANK.name, F.row_number().over(items)), lake, schema))
