"""Read the rows of a version of a Delta table without the JVM.

:func:`scan` splits the work into units: the driver makes a :class:`Scan`, and a :class:`Reader` reads each
:class:`Unit` on a worker, in batches, always in the same order. Partition values, deletion vectors, renamed columns
and columns added after a file was written come from the log. :mod:`nightjar.lake.rows` reads all rows in one
process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from nightjar.lake import files
from nightjar.lake.active_files import ActiveFile, active_files, table_errors

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import DeltaTable
    from numpy.typing import NDArray

UNIT_BYTES = 64 << 20
"""Compressed bytes per unit. Larger files are split by row groups; smaller files of a partition are grouped. The
number of cores plays no role, so that the same files always make the same units."""
_PHYSICAL_NAME, _COLUMN_ID, _FILE_ID = (
    b"delta.columnMapping.physicalName",
    b"delta.columnMapping.id",
    b"PARQUET:field_id",
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Consecutive row groups of one data file.

    Attributes:
        uri: Location of the file.
        row_groups: Indexes of the row groups; None for all.
        first_row: Position of their first row in the file.
        size: Approximate compressed bytes.
        deleted: Positions in the file of the rows removed by a deletion vector (int64, sorted).
    """

    uri: str
    row_groups: tuple[int, ...] | None = None
    first_row: int = 0
    size: int
    deleted: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The work of one task: pieces of one partition.

    Attributes:
        partition: Partition column to value, in the column's Python type; None for null.
        pieces: Pieces in reading order.
    """

    partition: Mapping[str, Any]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads the files of a table's version; sent along with each unit.

    Attributes:
        schema: Arrow schema of the table.
        stored: The same columns in the same order, with the names that columns and nested fields have in the files.
        by_id: Whether files identify a column by its id (column mapping mode ``id``), not by its stored name.
    """

    schema: pa.Schema
    stored: pa.Schema
    by_id: bool = False

    def read(self, unit: Unit, columns: Sequence[str], *, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of at most ``batch_rows`` rows with ``columns``, in the table's types.

        Only one batch is in memory at a time.

        Raises:
            LakeError: when a file is missing (vacuumed), or differs from the log.
        """
        for piece in unit.pieces:
            with table_errors(piece.uri):
                yield from self._read(piece, unit.partition, columns, batch_rows)

    def _read(
        self, piece: Piece, partition: Mapping[str, Any], columns: Sequence[str], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow.parquet as pq

        system, path = files.filesystem(piece.uri)
        with (
            system.open_input_file(path) as source,
            pq.ParquetFile(source, coerce_int96_timestamp_unit="us") as file,
        ):
            groups = list(range(file.num_row_groups) if piece.row_groups is None else piece.row_groups)
            names = self._names_in(file.schema_arrow, [name for name in columns if name not in partition])
            position = piece.first_row
            stored = list(names.values())
            for batch in file.iter_batches(batch_rows, row_groups=groups, columns=stored, use_threads=False):
                yield self._conform(_without(batch, position, piece.deleted), partition, columns, names)
                position += batch.num_rows

    def _names_in(self, file: pa.Schema, columns: Sequence[str]) -> dict[str, str]:
        """Return those of ``columns`` that a file holds, with their names in it."""
        ids = {(field.metadata or {}).get(_FILE_ID): field.name for field in file} if self.by_id else {}
        stored_names = {}
        for name in columns:
            position = self.schema.get_field_index(name)
            column_id = (self.schema.field(position).metadata or {}).get(_COLUMN_ID)
            stored = ids.get(column_id, "") if self.by_id else self.stored.field(position).name
            if stored in file.names:
                stored_names[name] = stored
        return stored_names

    def _conform(
        self, batch: pa.RecordBatch, partition: Mapping[str, Any], columns: Sequence[str], names: Mapping[str, str]
    ) -> pa.RecordBatch:
        import pyarrow as pa

        arrays = []
        for name in columns:
            position = self.schema.get_field_index(name)
            kind, stored = self.schema.field(position).type, self.stored.field(position).type
            if name in partition:
                arrays.append(pa.repeat(pa.scalar(partition[name], kind), batch.num_rows))
            elif name not in names:
                arrays.append(pa.nulls(batch.num_rows, kind))
            elif stored == kind:
                arrays.append(batch.column(names[name]).cast(kind))
            else:
                arrays.append(batch.column(names[name]).cast(stored).view(kind))  # same layout, other field names
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([self.schema.field(name) for name in columns]))


def reader_of(table: DeltaTable) -> Reader:
    """Return the reader of the files of ``table``."""
    import pyarrow as pa

    schema = pa.schema(table.schema().to_arrow())
    by_id = table.metadata().configuration.get("delta.columnMapping.mode") == "id"
    return Reader(schema=schema, stored=pa.schema([_stored(field) for field in schema]), by_id=by_id)


def _stored(field: pa.Field) -> pa.Field:
    """Return a column, or a nested field, as named in the files."""
    name = (field.metadata or {}).get(_PHYSICAL_NAME, field.name.encode()).decode()
    return field.with_name(name).with_type(_stored_type(field.type))


def _stored_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([_stored(field) for field in kind.fields])
    if pa.types.is_map(kind):
        return pa.map_(_stored(kind.key_field), _stored(kind.item_field))
    if pa.types.is_list(kind):
        return pa.list_(_stored(kind.value_field))
    return kind


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The plan for reading a table's version.

    Attributes:
        reader: Reader of the units.
        units: Units in the order of partitions and paths.
        rows: Total number of rows.
    """

    reader: Reader
    units: tuple[Unit, ...]
    rows: int


def scan(table: DeltaTable, uri: str, partitions: Mapping[str, Sequence[str]], *, unit_bytes: int = UNIT_BYTES) -> Scan:
    """Plan reading the files of ``table`` whose partition values are among ``partitions``.

    Args:
        table: The table, opened at the version to read.
        uri: The table's folder, as the tasks reach it.
        partitions: Partition column to wanted values, as text in the log; a column that is left out is not filtered.
        unit_bytes: Compressed bytes per unit.
    """
    return plan(table, active_files(table, partitions, folder=uri), unit_bytes=unit_bytes)


def plan(table: DeltaTable, active: Sequence[ActiveFile], *, unit_bytes: int = UNIT_BYTES) -> Scan:
    """Plan reading these files of ``table``."""
    ordered = sorted(active, key=lambda file: (*file.partition.values(), file.path))
    units: list[Unit] = []
    for _, group in groupby(ordered, key=lambda file: file.partition):
        partition_files = list(group)
        pieces = [piece for file in partition_files for piece in _pieces(file, unit_bytes)]
        units += [Unit(partition=partition_files[0].values, pieces=tuple(part)) for part in _packed(pieces, unit_bytes)]
    return Scan(reader=reader_of(table), units=tuple(units), rows=sum(file.rows for file in ordered))


def _pieces(file: ActiveFile, unit_bytes: int) -> Iterator[Piece]:
    if file.size <= unit_bytes:
        yield Piece(uri=file.uri, size=file.size, deleted=file.deleted)
    else:
        yield from _split(file.uri, file.metadata(), file.deleted, unit_bytes)


def _split(uri: str, metadata: pq.FileMetaData, deleted: NDArray[np.int64], unit_bytes: int) -> Iterator[Piece]:
    """Yield groups of consecutive row groups: at most ``unit_bytes`` each, or one row group."""
    groups: list[int] = []
    first_row = position = size = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        compressed = sum(row_group.column(i).total_compressed_size for i in range(metadata.num_columns))
        if groups and size + compressed > unit_bytes:
            yield Piece(uri=uri, row_groups=tuple(groups), first_row=first_row, size=size, deleted=deleted)
            groups, first_row, size = [], position, 0
        groups.append(group)
        size += compressed
        position += row_group.num_rows
    yield Piece(uri=uri, row_groups=tuple(groups), first_row=first_row, size=size, deleted=deleted)


def _packed(pieces: Sequence[Piece], unit_bytes: int) -> Iterator[list[Piece]]:
    """Yield groups of pieces, in order: at most ``unit_bytes`` each, or one piece."""
    group: list[Piece] = []
    for piece in pieces:
        if group and sum(packed.size for packed in group) + piece.size > unit_bytes:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _without(batch: pa.RecordBatch, first_row: int, deleted: NDArray[np.int64]) -> pa.RecordBatch:
    """Return the rows of ``batch`` that are not deleted; the batch begins at ``first_row`` of the file."""
    import numpy as np
    import pyarrow as pa

    low, high = np.searchsorted(deleted, [first_row, first_row + batch.num_rows])
    if low == high:
        return batch
    mask = np.ones(batch.num_rows, dtype=bool)
    mask[deleted[low:high] - first_row] = False
    return batch.filter(pa.array(mask))
