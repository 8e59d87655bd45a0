"""Write Arrow batches as Parquet files for a later Delta commit; runs inside Spark tasks."""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nightjar.lake import files
from nightjar.lake.active_files import partition_value
from nightjar.protocol.data_file import DataFile

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""First and last millisecond of the years 1 to 9999, since 1970."""


class TableFileWriter:
    """Writes batches into one file per partition under ``table_uri``; :meth:`close` returns the files.

    Use it in ``with``: on an error it deletes the files, so that a full disk gets its space back.

    Args:
        table_uri: The table's folder.
        schema: Arrow schema of the whole table; batches must have its columns.
        partition_by: Partition columns; their values go to the Delta log, not into the files.
    """

    def __init__(self, table_uri: str, schema: pa.Schema, partition_by: tuple[str, ...]) -> None:
        import pyarrow as pa

        self._uri = table_uri
        self._partition_by = partition_by
        self._schema = schema
        self._file_schema = pa.schema([field for field in schema if field.name not in partition_by])
        self._open: dict[tuple[str, ...], tuple[str, pq.ParquetWriter]] = {}
        self._floats = [field.name for field in self._file_schema if pa.types.is_floating(field.type)]
        self._with_nan: dict[tuple[str, ...], set[str]] = {}

    def __enter__(self) -> TableFileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()

    def discard(self) -> None:
        """Delete the files."""
        for path, writer in self._open.values():
            with suppress(OSError):  # on a full disk, closing fails too
                writer.close()
            files.delete_file(f"{self._uri}/{path}")
        self._open.clear()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of ``batch`` to their partitions' files."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table = pa.Table.from_batches([batch]).select(self._schema.names).cast(self._schema)
        combinations = table.group_by(list(self._partition_by)).aggregate([]).to_pylist()
        for combination in combinations:
            rows = table
            for column, value in combination.items() if len(combinations) > 1 else ():
                rows = rows.filter(pc.equal(rows[column], pa.scalar(value, rows.schema.field(column).type)))
            values = tuple(partition_value(combination[c]) for c in self._partition_by)
            self._writer(values).write_table(rows.drop_columns(list(self._partition_by)))
            with_nan = {name for name in self._floats if pc.any(pc.is_nan(rows[name])).as_py()}
            self._with_nan.setdefault(values, set()).update(with_nan)

    def close(self) -> list[DataFile]:
        """Close and sync every file, and describe it for the Delta log."""
        for _, writer in self._open.values():
            writer.close()
        return [self._describe(values, path) for values, (path, _) in self._open.items()]

    def _describe(self, values: tuple[str, ...], path: str) -> DataFile:
        uri = f"{self._uri}/{path}"
        files.sync(uri)
        rows, stats = _statistics(uri, self._with_nan[values])
        return DataFile(
            path=path,
            partition=dict(zip(self._partition_by, values, strict=True)),
            size=files.size(uri),
            rows=rows,
            stats=json.dumps(stats, separators=(",", ":")),
        )

    def _writer(self, values: tuple[str, ...]) -> pq.ParquetWriter:
        import pyarrow.parquet as pq
        from pyarrow import fs

        if values not in self._open:
            path = f"ds={values[0]}/part-{uuid.uuid4().hex}.snappy.parquet"
            system, full = files.filesystem(f"{self._uri}/{path}")
            if isinstance(system, fs.LocalFileSystem):
                os.makedirs(os.path.dirname(full), exist_ok=True)
            writer = pq.ParquetWriter(full, self._file_schema, filesystem=system, compression="snappy")
            self._open[values] = (path, writer)
        return self._open[values][1]


def write_files(
    batches: Iterator[pa.RecordBatch], table_uri: str, schema: pa.Schema, partition_by: tuple[str, ...]
) -> list[DataFile]:
    """Write all batches; a partition's file keeps the order of its rows."""
    with files.storage_errors(table_uri), TableFileWriter(table_uri, schema, partition_by) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write(batch)
        return writer.close()


def _statistics(uri: str, with_nan: Collection[str]) -> tuple[int, dict[str, Any]]:
    """Return rows and Delta statistics of a file, from its Parquet footer.

    Columns in ``with_nan`` get no bounds: Parquet's bounds ignore NaN, while Spark orders NaN above every number, so a
    reader that trusts them would skip rows. Columns with an infinity, which JSON cannot express, or with years outside
    1 to 9999, which readers cannot parse, get none either.
    """
    metadata = _metadata(uri)
    kinds = {field.name: field.type for field in metadata.schema.to_arrow_schema()}
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    unbounded = set(with_nan)
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            statistics = column.statistics
            name = column.path_in_schema
            if "." in name or statistics is None or not statistics.has_null_count:
                continue
            nulls[name] = nulls.get(name, 0) + statistics.null_count
            bounds = _bounds(statistics, kinds[name]) if statistics.has_min_max else None
            if bounds is not None:
                low[name] = min(low.get(name, bounds[0]), bounds[0])
                high[name] = max(high.get(name, bounds[1]), bounds[1])
            elif statistics.has_min_max or statistics.null_count < column.num_values:
                unbounded.add(name)
    stats = {
        "numRecords": metadata.num_rows,
        "minValues": {name: value for name, value in low.items() if name not in unbounded},
        "maxValues": {name: value for name, value in high.items() if name not in unbounded},
        "nullCount": nulls,
    }
    return metadata.num_rows, stats


def _bounds(statistics: pq.Statistics, kind: pa.DataType) -> tuple[Any, Any] | None:
    """Return a column's minimum and maximum in a row group as Delta statistics; None when they cannot be expressed."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return _moments(statistics.min_raw, statistics.max_raw)
    if pa.types.is_date32(kind):
        days = range(date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH + 1)
        inside = statistics.min_raw in days and statistics.max_raw in days
        return (statistics.min.isoformat(), statistics.max.isoformat()) if inside else None
    if pa.types.is_floating(kind) and (math.isinf(statistics.min) or math.isinf(statistics.max)):
        return None
    return statistics.min, statistics.max


def _moments(least: int, greatest: int) -> tuple[str, str] | None:
    """Return microseconds as text, rounded outwards to milliseconds, the precision of Delta statistics."""
    first, last = least // 1000, -(-greatest // 1000)
    if first < _FIRST_MS or last > _LAST_MS:
        return None
    start = datetime(1970, 1, 1)
    low, high = (
        (start + timedelta(milliseconds=value)).isoformat(timespec="milliseconds") + "Z" for value in (first, last)
    )
    return low, high


@files.with_retries
def _metadata(uri: str) -> pq.FileMetaData:
    import pyarrow.parquet as pq

    system, path = files.filesystem(uri)
    with files.storage_errors(uri):
        return pq.read_metadata(path, filesystem=system)
