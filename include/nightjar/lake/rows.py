"""Read the rows of a Delta table's version in one process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from nightjar.lake import files
from nightjar.lake.active_files import ActiveFile, active_files, table_errors
from nightjar.lake.scan import Scan, plan, reader_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset
    from deltalake import DeltaTable

STREAM_ROWS = 65_536
"""Rows per batch of a :class:`RowStream`."""


class RowStream:
    """The rows of a scan as a re-readable Arrow stream (PyCapsule interface), e.g. for DuckDB."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def __arrow_c_schema__(self) -> object:
        return self._scan.reader.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._batches(self._scan.reader.schema.names).__arrow_c_stream__(requested_schema)

    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows, with ``columns`` or all columns."""
        return self._batches(self._scan.reader.schema.names if columns is None else columns).read_all()

    def _batches(self, columns: Sequence[str]) -> pa.RecordBatchReader:
        import pyarrow as pa

        reader = self._scan.reader
        schema = pa.schema([reader.schema.field(name) for name in columns])
        batches = (batch for unit in self._scan.units for batch in reader.read(unit, columns, batch_rows=STREAM_ROWS))
        return pa.RecordBatchReader.from_batches(schema, batches)


def arrow_source(
    table: DeltaTable, partitions: Mapping[str, Sequence[str]] | None = None
) -> pyarrow.dataset.Dataset | RowStream:
    """Return the rows of a table's version for a library that reads Arrow, such as DuckDB.

    Args:
        table: The table, opened at the version to read.
        partitions: Partition column to wanted values, as text in the log; None for all.

    Returns:
        A stream when the files differ from the rows: with deletion vectors, renamed columns or widened types. A dataset
            otherwise, from which a library reads only the columns and rows that it needs.

    Raises:
        LakeError: when the log or a deletion vector cannot be read.
    """
    import pyarrow.dataset as ds

    active, reader = active_files(table, partitions or {}), reader_of(table)
    widened = "typeWidening" in (table.protocol().reader_features or ())
    if reader.by_id or widened or reader.stored != reader.schema or any(len(file.deleted) for file in active):
        return RowStream(plan(table, active))
    form = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit="us"))
    places = [files.filesystem(file.uri) for file in active]
    fragments = [
        form.make_fragment(path, filesystem=system, partition_expression=_partition(file, reader.schema))
        for file, (system, path) in zip(active, places, strict=True)
    ]
    return ds.FileSystemDataset(fragments, reader.schema, form, places[0][0] if places else None)


def read_rows(
    table: DeltaTable,
    columns: Sequence[str] | None = None,
    partitions: Mapping[str, Sequence[str]] | None = None,
) -> pa.Table:
    """Return the rows of a table's version, in memory.

    Args:
        table: The table, opened at the version to read.
        columns: Column names; None for all.
        partitions: Partition column to wanted values, as text in the log; None for all.

    Raises:
        LakeError: when a file is missing (vacuumed), or differs from the log.
    """
    source = arrow_source(table, partitions)
    with table_errors(table.table_uri):
        return source.to_table(None if columns is None else list(columns))


def read_nights(table: DeltaTable, nights: Iterable[date], columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of whole nights of a table's version, in memory; raises like :func:`read_rows`."""
    return read_rows(table, columns, {"ds": [night.isoformat() for night in nights]})


def _partition(file: ActiveFile, schema: pa.Schema) -> pyarrow.dataset.Expression:
    """Return the partition values of a file as an expression that holds for all its rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [
        pc.field(name).is_null() if value is None else pc.field(name) == pa.scalar(value, schema.field(name).type)
        for name, value in file.values.items()
    ]
    return reduce(and_, parts, pc.scalar(True))
