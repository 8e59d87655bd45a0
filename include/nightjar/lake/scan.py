"""Read a version of a Delta table without the JVM: which files, from its log; their rows, by pyarrow, unit by unit.

The driver makes a :class:`Scan`; a :class:`Reader` reads each :class:`Unit` of it where there is room, in batches, in
the same order every time. Partition values, deletion vectors, renamed columns and columns that a file is too old to
hold are taken from the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from nightjar.contracts.errors import LakeError
from nightjar.lake import files
from nightjar.lake.delta import partition_value

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import DeltaTable
    from numpy.typing import NDArray

UNIT_BYTES = 64 << 20
"""Compressed bytes of a unit: larger files are split by row groups, smaller ones of a partition go together. Whatever
the number of cores, so that the same files always make the same units."""
_PHYSICAL_NAME = "delta.columnMapping.physicalName"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Row groups of one data file that follow each other.

    Attributes:
        uri: The file.
        row_groups: Which; None for all.
        first_row: Position of the first of their rows in the file.
        size: Compressed bytes, about.
        deleted: Positions in the file of the rows that a deletion vector takes out (int64, sorted).
    """

    uri: str
    row_groups: tuple[int, ...] | None = None
    first_row: int = 0
    size: int
    deleted: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What one task reads: pieces of one partition.

    Attributes:
        partition: Partition column to value, of the column's own Python type; None for null.
        pieces: To be read in this order.
    """

    partition: Mapping[str, Any]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How the files of a table's version are read; travels with each unit.

    Attributes:
        schema: Arrow schema of the table.
        physical: Column to its name in the files.
    """

    schema: pa.Schema
    physical: Mapping[str, str]

    def read(self, unit: Unit, columns: Sequence[str], *, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Batches of at most ``batch_rows`` rows with ``columns``, typed as the table; no more than one is in memory.

        Raises:
            LakeError: when a file has been vacuumed.
        """
        for piece in unit.pieces:
            try:
                yield from self._read(piece, unit.partition, columns, batch_rows)
            except FileNotFoundError as error:
                raise LakeError(
                    "a file of the table's version is gone, most likely vacuumed",
                    where=piece.uri,
                    fix="clear the task that reads it, so that it takes the version of now",
                ) from error

    def _read(
        self, piece: Piece, partition: Mapping[str, Any], columns: Sequence[str], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow.parquet as pq

        system, path = files.filesystem(piece.uri)
        with (
            files.explained(piece.uri),
            system.open_input_file(path) as source,
            pq.ParquetFile(source, coerce_int96_timestamp_unit="us") as file,
        ):
            groups = list(range(file.num_row_groups) if piece.row_groups is None else piece.row_groups)
            there = set(file.schema_arrow.names)
            stored = [self.physical[name] for name in columns if name not in partition and self.physical[name] in there]
            position = piece.first_row
            for batch in file.iter_batches(batch_rows, row_groups=groups, columns=stored, use_threads=False):
                yield self._conformed(_without(batch, position, piece.deleted), partition, columns)
                position += batch.num_rows

    def _conformed(self, batch: pa.RecordBatch, partition: Mapping[str, Any], columns: Sequence[str]) -> pa.RecordBatch:
        import pyarrow as pa

        arrays = []
        for name in columns:
            kind = self.schema.field(name).type
            if name in partition:
                arrays.append(pa.repeat(pa.scalar(partition[name], kind), batch.num_rows))
            elif self.physical[name] in batch.schema.names:
                arrays.append(batch.column(self.physical[name]).cast(kind))
            else:
                arrays.append(pa.nulls(batch.num_rows, kind))
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([self.schema.field(name) for name in columns]))


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What is to be read of a table's version.

    Attributes:
        reader: Reads each unit.
        units: In the order of partitions and paths.
        rows: Rows that they hold together.
    """

    reader: Reader
    units: tuple[Unit, ...]
    rows: int


def scan(table: DeltaTable, uri: str, partitions: Mapping[str, Sequence[str]], *, unit_bytes: int = UNIT_BYTES) -> Scan:
    """Plan the reading of those files of ``table`` whose partition values are among ``partitions``.

    Args:
        table: Opened at the version to read.
        uri: The table's folder, as the tasks reach it.
        partitions: Partition column to wanted values, as the log writes them; a column left out wants all.
        unit_bytes: Compressed bytes of a unit.
    """
    import pyarrow as pa

    adds = pa.table(table.get_add_actions(flatten=True))
    names = [column.removeprefix("partition.") for column in adds.schema.names if column.startswith("partition.")]
    held = [
        (_File(uri, row["path"], row["size_bytes"], row.get("num_records")), {n: row[f"partition.{n}"] for n in names})
        for row in adds.to_pylist()
    ]
    wanted = [
        (file, partition)
        for file, partition in held
        if all(partition_value(partition[name]) in values for name, values in partitions.items())
    ]
    wanted.sort(key=lambda one: ([partition_value(value) for value in one[1].values()], one[0].path))
    deleted = _deleted_rows(table, adds["path"].to_pylist())
    units: list[Unit] = []
    for _, group in groupby(wanted, key=lambda one: one[1]):
        of_partition = list(group)
        pieces = [piece for file, _ in of_partition for piece in file.pieces(deleted, unit_bytes)]
        units += [Unit(partition=of_partition[0][1], pieces=tuple(part)) for part in _packed(pieces, unit_bytes)]
    schema = pa.schema(table.schema().to_arrow())
    physical = {f.name: f.metadata.get(_PHYSICAL_NAME, f.name) for f in table.schema().fields}
    rows = sum(file.count() - len(deleted.get(file.path, ())) for file, _ in wanted)
    return Scan(reader=Reader(schema=schema, physical=physical), units=tuple(units), rows=rows)


@dataclass(frozen=True)
class _File:
    """A data file as the log names it; ``path`` is URL-encoded, and ``rows`` unknown where there are no statistics."""

    table_uri: str
    path: str
    size: int
    rows: int | None

    @property
    def uri(self) -> str:
        path = unquote(self.path)
        return path if "://" in path or path.startswith("/") else f"{self.table_uri}/{path}"

    def count(self) -> int:
        return self.rows if self.rows is not None else self._metadata().num_rows

    def pieces(self, deleted: Mapping[str, NDArray[np.int64]], unit_bytes: int) -> Iterator[Piece]:
        import numpy as np

        gone = deleted.get(self.path, np.empty(0, np.int64))
        if self.size <= unit_bytes:
            yield Piece(uri=self.uri, size=self.size, deleted=gone)
        else:
            yield from _split(self.uri, self._metadata(), gone, unit_bytes)

    @files.patient
    def _metadata(self) -> pq.FileMetaData:
        import pyarrow.parquet as pq

        system, path = files.filesystem(self.uri)
        with files.explained(self.uri):
            return pq.read_metadata(path, filesystem=system)


def _split(uri: str, metadata: pq.FileMetaData, deleted: NDArray[np.int64], unit_bytes: int) -> Iterator[Piece]:
    """Consecutive row groups of at most ``unit_bytes`` together, at least one."""
    groups: list[int] = []
    first_row = position = size = 0
    for group in range(metadata.num_row_groups):
        of_group = metadata.row_group(group)
        compressed = sum(of_group.column(i).total_compressed_size for i in range(metadata.num_columns))
        if groups and size + compressed > unit_bytes:
            yield Piece(uri=uri, row_groups=tuple(groups), first_row=first_row, size=size, deleted=deleted)
            groups, first_row, size = [], position, 0
        groups.append(group)
        size += compressed
        position += of_group.num_rows
    yield Piece(uri=uri, row_groups=tuple(groups), first_row=first_row, size=size, deleted=deleted)


def _packed(pieces: Sequence[Piece], unit_bytes: int) -> Iterator[list[Piece]]:
    """Pieces in order, in groups of at most ``unit_bytes``, at least one each."""
    group: list[Piece] = []
    for piece in pieces:
        if group and sum(held.size for held in group) + piece.size > unit_bytes:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _deleted_rows(table: DeltaTable, paths: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Path of a file, as the log has it, to the positions of its deleted rows."""
    import numpy as np
    import pyarrow as pa

    if "deletionVectors" not in (table.protocol().reader_features or []):
        return {}
    found = {}
    for vectors in table.deletion_vectors():
        for uri, kept in zip(*(pa.array(column) for column in vectors.columns), strict=True):
            # the URI is absolute, and may be encoded in another way than the log's path
            (path,) = (path for path in paths if f"/{unquote(uri.as_py())}".endswith(f"/{unquote(path)}"))
            found[path] = np.flatnonzero(~kept.values.to_numpy(zero_copy_only=False))
    return found


def _without(batch: pa.RecordBatch, first_row: int, deleted: NDArray[np.int64]) -> pa.RecordBatch:
    """The rows of ``batch``, which begin at ``first_row`` of the file, that are not deleted."""
    import numpy as np
    import pyarrow as pa

    low, high = np.searchsorted(deleted, [first_row, first_row + batch.num_rows])
    if low == high:
        return batch
    kept = np.ones(batch.num_rows, dtype=bool)
    kept[deleted[low:high] - first_row] = False
    return batch.filter(pa.array(kept))
