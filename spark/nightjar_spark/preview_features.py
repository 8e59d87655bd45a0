"""Build one night's features as ``build_features`` does, and summarize them; nothing is written.

``make features`` runs it: ``spark-submit preview_features.py --lake <folder> --use-case <name> --night <date>``. In a
notebook, call :func:`preview_features`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, NumericType

from nightjar.code_places import place_of
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.lake import Lake
from nightjar.local.summary import table as text_table
from nightjar.protocol.errors import NightjarError, first_line
from nightjar.protocol.nights import Nights
from nightjar_spark.feature_inputs import check_rows, read_inputs
from nightjar_spark.feature_tables import build_features
from nightjar_spark.io import conform
from nightjar_spark.session import build_session
from nightjar_spark.worker_errors import from_workers

EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class ColumnPreview:
    """Summary of a column of the feature table.

    Attributes:
        name: The column.
        type: Its declared type.
        nulls: Rows without a value: null or NaN.
        minimum: Least value; None for other columns than numbers.
        mean: Mean; None for other columns than numbers.
        maximum: Greatest value; None for other columns than numbers.
        distinct: Approximate number of distinct values; None for numbers.
    """

    name: str
    type: str
    nulls: int
    minimum: float | None
    mean: float | None
    maximum: float | None
    distinct: int | None


@dataclass(frozen=True, kw_only=True)
class FeaturePreview:
    """Features of one night, not published.

    Attributes:
        use_case: Name of the use case.
        night: The night.
        rows: Number of rows.
        columns: Summaries, in the order of the feature table.
        examples: Column to value of the first rows by key.
        seconds: Wall-clock seconds of reading, building and summarizing.
    """

    use_case: str
    night: date
    rows: int
    columns: tuple[ColumnPreview, ...]
    examples: tuple[dict[str, Any], ...]
    seconds: float

    def text(self) -> str:
        """Return the preview for a terminal."""
        summaries = [
            (c.name, c.type, c.nulls, f"{c.nulls / self.rows:.1%}", *map(_number, (c.minimum, c.mean, c.maximum)),
             "" if c.distinct is None else f"{c.distinct:,}")
            for c in self.columns
        ]  # fmt: skip
        titles = [f"row {number}" for number in range(1, len(self.examples) + 1)]
        examples = [(c.name, *(_number(row[c.name]) for row in self.examples)) for c in self.columns]
        return "\n".join(
            [
                f"{self.use_case}, night {self.night}: {self.rows:,} rows, {len(self.columns)} columns, "
                f"{self.seconds:.1f} s; nothing is written",
                "",
                *text_table(["column", "type", "nulls", "share", "min", "mean", "max", "distinct"], summaries),
                "",
                *text_table(["example", *titles], examples),
            ]
        )


def preview_features(spark: SparkSession, lake: Lake, use_case: UseCase, night: date) -> FeaturePreview:
    """Build the features of one night from the raw tables, and summarize them.

    Args:
        spark: The session.
        lake: The lake, with the night and its history ingested.
        use_case: The use case.
        night: The night.

    Raises:
        SourceError: when the night was not ingested, or too much of its history is missing.
        RowCountError: when the features do not have one row for each entity.
        LakeError: when a raw table does not exist.
    """
    began = time.perf_counter()
    nights = Nights(first=night, last=night, timezone=use_case.schedule.timezone)
    inputs = read_inputs(spark, lake, use_case, nights)
    schema = use_case.feature_table
    features = conform(build_features(use_case, inputs.tables, nights), schema).persist()
    try:
        rows, columns = _summarize(features)
        if use_case.problem.has_rows_of_source:
            check_rows(schema, rows, inputs.rows[use_case.data.features_from], nights)
        examples = tuple(row.asDict() for row in features.orderBy(*schema.key).limit(EXAMPLES).collect())
    finally:
        features.unpersist()
    return FeaturePreview(
        use_case=use_case.name,
        night=night,
        rows=rows,
        columns=columns,
        examples=examples,
        seconds=round(time.perf_counter() - began, 1),
    )


def _summarize(features: DataFrame) -> tuple[int, tuple[ColumnPreview, ...]]:
    """Return the number of rows and the summary of each column, in one pass."""
    numeric = {field.name for field in features.schema if isinstance(field.dataType, NumericType)}
    figures = [F.count("*")]
    for field in features.schema:
        value = _value(field.name, is_double=isinstance(field.dataType, DoubleType))
        figures.append(F.count(value))
        if field.name in numeric:
            figures += [F.min(value).cast("double"), F.mean(value), F.max(value).cast("double")]
        else:
            figures.append(F.approx_count_distinct(value))
    rows, *found = features.agg(*(figure.alias(str(i)) for i, figure in enumerate(figures))).collect()[0]
    values = iter(found)
    columns = []
    for field in features.schema:
        nulls = rows - next(values)
        minimum, mean, maximum = (next(values) for _ in range(3)) if field.name in numeric else (None, None, None)
        distinct = None if field.name in numeric else next(values)
        columns.append(
            ColumnPreview(
                name=field.name,
                type=field.dataType.simpleString(),
                nulls=nulls,
                minimum=minimum,
                mean=mean,
                maximum=maximum,
                distinct=distinct,
            )
        )
    return rows, tuple(columns)


def _value(name: str, *, is_double: bool) -> Column:
    return F.when(~F.isnan(name), F.col(name)) if is_double else F.col(name)


def _number(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else "" if value is None else str(value)


def main(arguments: list[str]) -> int:
    """Print the preview, or the error in one line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", required=True, help="URI of the lake")
    parser.add_argument("--use-case", required=True, help="name of the use case")
    parser.add_argument("--night", required=True, type=date.fromisoformat, help="YYYY-MM-DD")
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    spark = build_session(f"nightjar {given.use_case} features")
    try:
        with from_workers():
            preview = preview_features(spark, Lake(given.lake), load_use_case(given.use_case), given.night)
    except NightjarError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    except Exception as error:  # the use case's code may raise anything
        logging.exception("the features could not be built")
        sys.stdout.write(f"{first_line(error)} | where: {place_of(error)}\n")
        return 1
    finally:
        spark.stop()
    sys.stdout.write(f"{preview.text()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
