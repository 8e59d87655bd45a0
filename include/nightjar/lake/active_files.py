"""The active files of a Delta table: the data files of a version, as read from its log.

The only module that knows how a log records paths, partition values, statistics, deletion vectors and protocol
features. :mod:`nightjar.lake.scan` reads the rows of the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from nightjar.lake import files
from nightjar.protocol.errors import LakeError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import DeltaTable
    from numpy.typing import NDArray

READER_FEATURES = frozenset(
    {"columnMapping", "deletionVectors", "timestampNtz", "typeWidening", "v2Checkpoint", "vacuumProtocolCheck"}
)
"""Supported reader features of the Delta protocol; a table with any other is rejected by name."""


@dataclass(frozen=True, kw_only=True)
class ActiveFile:
    """A data file of a table's version.

    Attributes:
        path: Relative to the table's folder, decoded; absolute for a file of another table (a shallow clone).
        folder: The table's folder.
        partition: Partition column to value as text in the log; empty for null.
        values: Partition column to value, in the column's Python type.
        size: Bytes.
        deleted: Positions of the rows removed by a deletion vector (int64, sorted).
        recorded_rows: Rows in the file by its statistics, deleted ones included; None without statistics.
    """

    path: str
    folder: str
    partition: Mapping[str, str]
    values: Mapping[str, Any]
    size: int
    deleted: NDArray[np.int64] = field(repr=False)
    recorded_rows: int | None

    @property
    def uri(self) -> str:
        """Location of the file, for :mod:`nightjar.lake.files`."""
        return data_file_uri(self.folder, self.path)

    @cached_property
    def rows(self) -> int:
        """Number of rows that are not deleted; read from the file when the log has no statistics.

        Raises:
            LakeError: when the file is missing.
        """
        stored = self.metadata().num_rows if self.recorded_rows is None else self.recorded_rows
        return stored - len(self.deleted)

    @files.with_retries
    def metadata(self) -> pq.FileMetaData:
        """Return the Parquet footer.

        Raises:
            LakeError: when the file is missing.
        """
        import pyarrow.parquet as pq

        system, path = files.filesystem(self.uri)
        with table_errors(self.uri):
            return pq.read_metadata(path, filesystem=system)


@contextmanager
def table_errors(where: str) -> Iterator[None]:
    """Turn any error of delta-rs or Arrow while reading a table into an error with a fix."""
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    try:
        with files.storage_errors(where):
            yield
    except FileNotFoundError as error:
        raise LakeError(
            f"a file of the table's version is missing, most likely vacuumed ({error})",
            where=where,
            fix="clear the task that reads it, so that it reads the latest version",
        ) from error
    except (DeltaError, pa.ArrowException) as error:
        raise LakeError(
            f"the table's version cannot be read ({error})",
            where=where,
            fix="restore the file that is named, or overwrite the nights that it belongs to",
        ) from error


def check_readable(table: DeltaTable, where: str) -> None:
    """Check that the table's protocol and types are supported.

    Raises:
        LakeError: naming the unsupported features or columns.
    """
    import pyarrow as pa

    if unknown := set(table.protocol().reader_features or ()) - READER_FEATURES:
        raise LakeError(
            f"the table uses features of Delta that Nightjar does not read: {', '.join(sorted(unknown))}",
            where=where,
            how_many=len(unknown),
            fix="drop the features (ALTER TABLE ... DROP FEATURE), or copy the rows into a table without them",
        )
    try:
        pa.schema(table.schema().to_arrow())
    except Exception as error:  # delta-rs does not document what an unknown type raises
        raise LakeError(
            f"the table has columns of a type that Nightjar does not read ({error})",
            where=where,
            fix="copy the rows into a table without these columns",
        ) from error


def active_files(
    table: DeltaTable, partitions: Mapping[str, Sequence[str]], *, folder: str | None = None
) -> list[ActiveFile]:
    """Return the files of ``table`` in the given partitions.

    Args:
        table: The table, opened at the version to list.
        partitions: Partition column to wanted values, as text in the log; a column that is left out is not filtered.
        folder: The table's folder as the readers of the files reach it; default: as delta-rs reaches it, with symbolic
            links resolved.

    Raises:
        LakeError: when the log or a deletion vector cannot be read.
    """
    import numpy as np
    import pyarrow as pa

    opened = unquote(table.table_uri).rstrip("/").removeprefix("file://")
    with table_errors(opened):
        adds = pa.table(table.get_add_actions(flatten=True))
        deleted = _deleted_rows(table, opened)
    columns = list(table.metadata().partition_columns)
    if unknown := partitions.keys() - set(columns):
        raise LakeError(
            f"the table is partitioned by {', '.join(columns) or 'nothing'}, not by {', '.join(sorted(unknown))}",
            where=opened,
            fix="copy the rows into a table that is partitioned as declared",
        )
    values = {name: _python_values(adds[f"partition.{name}"]) for name in columns}
    paths, sizes = ([_path(opened, path) for path in adds["path"].to_pylist()], adds["size_bytes"].to_pylist())
    recorded = adds["num_records"].to_pylist() if "num_records" in adds.schema.names else [None] * len(paths)
    if unlisted := deleted.keys() - set(paths):
        raise LakeError(
            "the log has deletion vectors of files that the version does not hold",
            where=f"{opened}/{min(unlisted)}",
            how_many=len(unlisted),
            fix="rewrite the table in Spark: REORG TABLE ... APPLY (PURGE)",
        )
    active = [
        ActiveFile(
            path=path,
            folder=folder or opened,
            partition={name: partition_value(values[name][row]) for name in columns},
            values={name: values[name][row] for name in columns},
            size=sizes[row],
            deleted=deleted.get(path, np.empty(0, np.int64)),
            recorded_rows=recorded[row],
        )
        for row, path in enumerate(paths)
    ]
    return [file for file in active if is_within(file.partition, partitions)]


def data_file_uri(folder: str, path: str) -> str:
    """Return the location of a data file from its table's folder and :attr:`ActiveFile.path`."""
    return path if path.startswith("/") or "://" in path else f"{folder}/{path}"


def is_within(partition: Mapping[str, str], partitions: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a file's partition is among the wanted values of each column."""
    return all(partition.get(column) in values for column, values in partitions.items())


def partition_value(value: Any) -> str:
    """Return a partition value as text in the Delta log; empty for null."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value)


def _python_values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a partition column: timestamps as integers, and so are dates beyond Python's range."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        values = column.cast(pa.int32()).to_pylist()
    return values


def _path(folder: str, uri: str) -> str:
    """Return a path of the log, or a URI that delta-rs built from it, in the form of :attr:`ActiveFile.path`."""
    return _local(_local(unquote(uri)).removeprefix(f"{folder}/"))


def _local(uri: str) -> str:
    return re.sub("^file:/+", "/", uri)


def _deleted_rows(table: DeltaTable, folder: str) -> dict[str, NDArray[np.int64]]:
    """Return the path of each file with deletions, with the positions of its deleted rows."""
    import numpy as np
    import pyarrow as pa

    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return {}
    return {
        _path(folder, uri.as_py()): np.flatnonzero(~selection.values.to_numpy(zero_copy_only=False))
        for vectors in table.deletion_vectors()
        for uri, selection in zip(*(pa.array(column) for column in vectors.columns), strict=True)
    }
