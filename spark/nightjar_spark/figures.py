"""Figures of many columns and nights of a DataFrame in one pass: one job, no shuffle, memory flat with rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from nightjar.declaration.tables import Column
from nightjar.validation.figures import HASH, Figures, Moments, Part, figures_of, part_of
from nightjar_spark.known_numbers import known

_SECONDS_AN_HOUR = 3600


def figures_by_night(frame: DataFrame, columns: Sequence[Column], key: Sequence[str]) -> dict[date, dict[str, Figures]]:
    """Night to column to its figures.

    Args:
        frame: Rows with ``ds``.
        columns: What to look at; of any type that lands.
        key: Columns that tell rows apart; their hash chooses the sample.
    """
    keyed = F.xxhash64(*(F.col(name) for name in key)) if key else F.xxhash64(*(F.col(c.name) for c in columns))
    selected = frame.select(
        F.col("ds").cast("string").alias("ds"), keyed.alias(HASH), *(_value(c).alias(c.name) for c in columns)
    )
    parts: dict[str, Part] = {}
    for night, moments, sample in selected.mapInArrow(_summarize, "ds string, moments binary, sample binary").collect():
        part = _read(moments, sample)
        parts[night] = parts[night].merge(part) if night in parts else part
    return {date.fromisoformat(night): figures_of(part) for night, part in sorted(parts.items())}


def _value(column: Column) -> SparkColumn:
    value = F.col(column.name)
    if column.type == "timestamp":
        seconds = (F.unix_micros(value) - F.unix_micros(F.col("ds").cast("timestamp"))) / 1_000_000
        return (seconds / _SECONDS_AN_HOUR).cast("double")
    if column.type == "date":
        return F.datediff(value, F.col("ds")).cast("double")
    if column.type in {"string", "array<string>"}:
        return value.cast("string")
    return known(value.cast("double"))


def _summarize(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a Spark task does: one row a night out."""
    parts: dict[str, Part] = {}
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        for night in pc.unique(rows["ds"]).to_pylist():
            part = part_of(rows.filter(pc.equal(rows["ds"], night)).drop_columns("ds"))
            parts[night] = parts[night].merge(part) if night in parts else part
    for night, part in parts.items():
        yield pa.RecordBatch.from_pydict({"ds": [night], **_written(part)})


def _written(part: Part) -> dict[str, list[bytes]]:
    moments = pa.table(
        {"name": list(part.moments), "rows": [part.rows] * len(part.moments)}
        | {
            field: [getattr(values, field) for values in part.moments.values()]
            for field in Moments.__dataclass_fields__
        }
    )
    return {"moments": [_bytes(moments)], "sample": [_bytes(part.sample)]}


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _read(moments: bytes, sample: bytes) -> Part:
    lines = pa.ipc.open_stream(moments).read_all().to_pylist()
    rows = lines[0]["rows"]
    found = {line["name"]: Moments(**{f: line[f] for f in Moments.__dataclass_fields__}) for line in lines}
    return Part(rows, found, pa.ipc.open_stream(sample).read_all())
