"""Read a source's landed CSV files of several nights as one DataFrame, with typed values and original text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from nightjar.declaration.data import Source
from nightjar.protocol.names import MALFORMED, TEXT
from nightjar.validation.landed_rows import read_rows, rows_schema
from nightjar.validation.landing import LandedFile

_TASKS_PER_CORE = 4


def read_landed(spark: SparkSession, source: Source, landed: Sequence[LandedFile]) -> DataFrame:
    """Return the rows of ``landed`` (all files of ``source``), with every field parsed to its declared type.

    Columns: those of ``source.table``; :data:`TEXT`, the original text of the fields; and :data:`MALFORMED`, the line
    if it is not a single record. No row is dropped and no row fails: a field that does not parse is null. Files are
    read in parallel, each by one task.
    """
    columns = source.file_columns
    work = [(file.night, file.uri) for file in landed]
    schema = pa.schema([pa.field("ds", pa.date32()), *rows_schema(columns)])

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch["id"].to_pylist():
                night, uri = work[index]
                for rows in read_rows(uri, columns):
                    yield rows.add_column(0, schema.field("ds"), _repeated(night, rows.num_rows))

    # a snapshot may have no file
    tasks = max(1, min(len(work), _TASKS_PER_CORE * spark.sparkContext.defaultParallelism))
    rows = spark.range(0, len(work), 1, tasks).mapInArrow(read, from_arrow_schema(schema))
    return rows.select(
        "ds",
        *(column.name for column in columns),
        F.concat(F.lit(f"{_use_case_folder(landed)}/"), F.col("ds"), F.lit(f"/{source.file}")).alias("source_file"),
        _landed_at(landed).alias("landed_at"),
        TEXT,
        MALFORMED,
    )


def _repeated(night: date, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(night, pa.date32()), count)


def _use_case_folder(landed: Sequence[LandedFile]) -> str:
    return landed[0].uri.split("/")[-3] if landed else ""


def _landed_at(landed: Sequence[LandedFile]) -> Column:
    """Return a map from night to landing time as one expression, so that hundreds of nights need one call."""
    if not landed:
        return F.lit(None).cast("timestamp")
    pairs = ", ".join(f"DATE'{file.night}', TIMESTAMP'{file.landed_at.isoformat()}'" for file in landed)
    return F.expr(f"map({pairs})[ds]")
