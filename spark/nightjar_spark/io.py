"""Read Delta tables into Spark, and replace whole nights of one in a single commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from nightjar.declaration.tables import TableSchema
from nightjar.lake import delta
from nightjar.lake.delta import DataFile, arrow_schema, table_uri
from nightjar.lake.held_files import HeldFile, held_files
from nightjar.lake.parquet import write_files
from nightjar.protocol.documents import parse_object


@dataclass(frozen=True, kw_only=True)
class Written:
    """What :func:`replace_nights` committed."""

    version: int
    rows: int


def spark_uri(uri: str) -> str:
    """The same place as Spark spells it: ``s3://`` becomes ``s3a://``."""
    return "s3a://" + uri.removeprefix("s3://") if uri.startswith("s3://") else uri


def read_table(
    spark: SparkSession,
    lake: str,
    name: str,
    *,
    nights: Iterable[date] | None = None,
    version: int | None = None,
) -> DataFrame:
    """Read a Delta table, whole or some nights of it, at its latest version or a pinned one.

    A plain table (reader version 1: no deletion vectors, no column mapping; each night's files in a folder of its own)
    is its list of Parquet files, which the driver takes from the log; Spark's own snapshot of a small table costs
    several jobs. Any other is left to Delta.

    Raises:
        LakeError: when there is no such table or version, or the table has features that are not read.
    """
    table = delta.open_table(lake, name, version)
    uri = spark_uri(table_uri(lake, name))
    wanted = None if nights is None else list(nights)
    partitions = table.metadata().partition_columns
    partition = {} if wanted is None or partitions != ["ds"] else {"ds": [str(night) for night in wanted]}
    held = held_files(table, partition)
    if table.protocol().min_reader_version > 1 or partitions != ["ds"] or not all(map(_in_its_folder, held)):
        frame = spark.read.format("delta").option("versionAsOf", table.version()).load(uri)
        return frame if wanted is None else frame.where(F.col("ds").isin(wanted))
    schema = from_arrow_schema(pa.schema(table.schema().to_arrow()))
    return (
        spark.read.schema(schema).option("basePath", uri).parquet(*(f"{uri}/{file.path}" for file in held))
        if held
        else spark.createDataFrame([], schema)
    )


def _in_its_folder(file: HeldFile) -> bool:
    """Whether Spark finds the file's night in its path."""
    return file.path.startswith(f"ds={file.partition['ds']}/")


def conform(frame: DataFrame, schema: TableSchema) -> DataFrame:
    """Select and cast the columns of ``schema``, in its order; a missing one is Spark's own error, which names it."""
    return frame.select(*(F.col(column.name).cast(column.type).alias(column.name) for column in schema.columns))


def write_unpublished(frame: DataFrame, lake: str, schema: TableSchema) -> list[DataFile]:
    """Write ``frame`` as files of the table that no reader sees until they are committed; one Spark job.

    Rows of a night go together and are sorted by the key, so that the same rows give the same files' content.
    """
    uri, target, partition_by = table_uri(lake, schema.name), arrow_schema(schema), schema.partition_by

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        written = write_files(batches, uri, target, partition_by)
        yield pa.RecordBatch.from_pydict({"file": [json.dumps(file.to_dict()) for file in written]})

    together = conform(frame, schema).hint("rebalance", *(F.col(column) for column in partition_by))
    ordered = together.sortWithinPartitions(*partition_by, *schema.key)
    rows = ordered.mapInArrow(write, "file string").collect()
    return [DataFile.from_dict(parse_object(row["file"])) for row in rows]


def replace_nights(
    frame: DataFrame,
    lake: str,
    schema: TableSchema,
    nights: Iterable[date],
    *,
    run_id: str,
    within: Mapping[str, Sequence[str]] | None = None,
) -> Written:
    """Make ``frame`` the content of exactly ``nights`` of a table, in one atomic commit.

    Args:
        frame: Rows with at least the schema's columns; ``ds`` must lie in ``nights``.
        lake: The lake's root.
        schema: The declared table; it is created on the first write.
        nights: The nights replaced; one without rows becomes empty.
        run_id: Airflow run, stamped on the commit.
        within: For a table with a second partition column: values replaced, e.g. ``{"table_name": ["raw/flights"]}``.
    """
    written = write_unpublished(frame, lake, schema)
    version = delta.commit(lake, schema, written, nights, run_id=run_id, within=within)
    return Written(version=version, rows=sum(file.rows for file in written))
