"""Read Delta tables into Spark, and replace whole nights of a table in a single commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from nightjar.declaration.tables import TableSchema
from nightjar.lake.active_files import ActiveFile, active_files
from nightjar.lake.delta import arrow_schema
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.documents import dump_json, load_json


@dataclass(frozen=True, kw_only=True)
class Written:
    """Version and rows that :func:`replace_nights` has committed."""

    version: int
    rows: int


def spark_uri(uri: str) -> str:
    """Return the URI in Spark's form: ``s3://`` becomes ``s3a://``."""
    return "s3a://" + uri.removeprefix("s3://") if uri.startswith("s3://") else uri


def read_table(
    spark: SparkSession,
    lake: Lake,
    name: str,
    *,
    nights: Iterable[date] | None = None,
    version: int | None = None,
) -> DataFrame:
    """Read a Delta table or some of its nights, at its latest version or a given one.

    A simple table (reader version 1: no deletion vectors, no column mapping; each night in its own folder) is read as
    the Parquet files in the log, because Delta's snapshot of a small table costs several Spark jobs. Delta reads all
    other tables.

    Raises:
        LakeError: when the table or version does not exist, or has unsupported features.
    """
    table = lake.open_table(name, version)
    uri = spark_uri(lake.table_uri(name))
    selected = None if nights is None else list(nights)
    partitions = table.metadata().partition_columns
    partition = {} if selected is None or partitions != ["ds"] else {"ds": [str(night) for night in selected]}
    active = active_files(table, partition)
    if table.protocol().min_reader_version > 1 or partitions != ["ds"] or not all(map(_is_in_own_folder, active)):
        frame = spark.read.format("delta").option("versionAsOf", table.version()).load(uri)
        return frame if selected is None else frame.where(F.col("ds").isin(selected))
    schema = from_arrow_schema(pa.schema(table.schema().to_arrow()))
    return (
        spark.read.schema(schema).option("basePath", uri).parquet(*(f"{uri}/{file.path}" for file in active))
        if active
        else spark.createDataFrame([], schema)
    )


def _is_in_own_folder(file: ActiveFile) -> bool:
    """Whether the file's path contains its night, from which Spark reads it."""
    return file.path.startswith(f"ds={file.partition['ds']}/")


def conform(frame: DataFrame, schema: TableSchema) -> DataFrame:
    """Select and cast the columns of ``schema`` in its order; Spark's own error names a missing column."""
    return frame.select(*(F.col(column.name).cast(column.type).alias(column.name) for column in schema.columns))


def write_unpublished(frame: DataFrame, lake: Lake, schema: TableSchema) -> list[DataFile]:
    """Write ``frame`` as uncommitted files of the table, in one Spark job.

    Rows are grouped by night and sorted by key, so that the same rows give the same files.
    """
    uri, target, partition_by = lake.table(schema).uri, arrow_schema(schema), schema.partition_by

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        written = write_files(batches, uri, target, partition_by)
        yield pa.RecordBatch.from_pydict({"file": [dump_json(file) for file in written]})

    grouped = conform(frame, schema).hint("rebalance", *(F.col(column) for column in partition_by))
    ordered = grouped.sortWithinPartitions(*partition_by, *schema.key)
    rows = ordered.mapInArrow(write, "file string").collect()
    return [load_json(DataFile, row["file"]) for row in rows]


def replace_nights(
    frame: DataFrame,
    lake: Lake,
    schema: TableSchema,
    nights: Iterable[date],
    *,
    run_id: str,
    within: Mapping[str, Sequence[str]] | None = None,
) -> Written:
    """Replace exactly ``nights`` of a table by ``frame``, in one atomic commit.

    Args:
        frame: Rows with at least the schema's columns; ``ds`` must be one of ``nights``.
        lake: The lake.
        schema: The declared table; created on the first write.
        nights: The nights to replace; a night without rows becomes empty.
        run_id: Airflow run, recorded in the commit.
        within: For a table with a second partition column: values replaced, e.g. ``{"table_name": ["raw/flights"]}``.
    """
    written = write_unpublished(frame, lake, schema)
    version = lake.table(schema).commit(written, nights, run_id=run_id, within=within)
    return Written(version=version, rows=sum(file.rows for file in written))
