"""Read a source's landed CSV files of many nights as one DataFrame: typed, with the text they held."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from nightjar.contracts.use_case import Source
from nightjar.validation.landing import LandedFile
from nightjar_spark.contracts import parse
from nightjar_spark.io import spark_uri

MALFORMED_LINE = "malformed_line"


def read_landed(spark: SparkSession, source: Source, landed: Sequence[LandedFile]) -> DataFrame:
    """Return the rows of ``landed`` (all files of ``source``), with every field parsed to its declared type.

    Columns: those of ``source.table``; ``text``, the fields as they stood in the file; and ``malformed_line``, the
    whole line where it has another number of fields than the header. Nothing is dropped and nothing fails here: what
    does not parse is null beside its text. Files are read together, one scan for each order of columns that occurs.
    """
    headers = sorted({file.header for file in landed})
    scans = [_scan(spark, source, header, [f.uri for f in landed if f.header == header]) for header in headers]
    rows = reduce(DataFrame.unionByName, scans)
    columns = {column.name: parse(F.col(f"text.{column.name}"), column) for column in source.file_columns}
    return rows.select(
        "ds",
        *(column.alias(name) for name, column in columns.items()),
        F.concat(F.lit(f"{_use_case_folder(landed)}/"), F.col("ds"), F.lit(f"/{source.file}")).alias("source_file"),
        _landed_at(landed).alias("landed_at"),
        "text",
        MALFORMED_LINE,
    )


def _scan(spark: SparkSession, source: Source, header: Sequence[str], uris: Sequence[str]) -> DataFrame:
    schema = StructType([StructField(name, StringType()) for name in (*header, MALFORMED_LINE)])
    lines = spark.read.csv(
        [spark_uri(uri) for uri in uris],
        schema=schema,
        header=True,
        nullValue="NA",
        emptyValue="NA",
        escape='"',
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=MALFORMED_LINE,
    )
    night = F.element_at(F.split(F.col("_metadata.file_path"), "/"), -2)
    fields = F.struct(*(F.col(column.name) for column in source.file_columns))
    return lines.select(night.cast("date").alias("ds"), fields.alias("text"), MALFORMED_LINE)


def _use_case_folder(landed: Sequence[LandedFile]) -> str:
    return landed[0].uri.split("/")[-3]


def _landed_at(landed: Sequence[LandedFile]) -> Column:
    """A literal map from night to landing moment; one expression, so that hundreds of nights cost one call."""
    pairs = ", ".join(f"DATE'{file.night}', TIMESTAMP'{file.landed_at.isoformat()}'" for file in landed)
    return F.expr(f"map({pairs})[ds]")
