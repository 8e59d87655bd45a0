"""Delta tables without Spark: schemas, opening and row counts.

:class:`nightjar.lake.lake.Lake` opens tables by name, :class:`nightjar.lake.table.Table` writes declared ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from nightjar.declaration.tables import ColumnType, TableSchema
from nightjar.lake import files
from nightjar.lake.active_files import active_files, check_readable
from nightjar.protocol.errors import LakeError, UnreachableError

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable, Schema

ENGINE = "nightjar"
"""Name of the writer in a table's log."""


def arrow_type(column_type: ColumnType) -> pa.DataType:
    """Return the Arrow type of a declared column type. Timestamps are UTC microseconds, as in Delta."""
    import pyarrow as pa

    return {
        "string": pa.string(),
        "int": pa.int32(),
        "long": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "array<string>": pa.list_(pa.string()),
    }[column_type]


def arrow_schema(schema: TableSchema) -> pa.Schema:
    """Return the Arrow schema of a declared table, with comments as Delta column comments."""
    import pyarrow as pa

    return pa.schema(
        [pa.field(c.name, arrow_type(c.type), c.nullable, metadata={"comment": c.comment}) for c in schema.columns]
    )


def delta_schema(schema: TableSchema) -> Schema:
    """Return the Delta schema of a declared table."""
    from deltalake import Schema

    return Schema.from_arrow(arrow_schema(schema))


def open_table(uri: str, name: str, version: int | None = None) -> DeltaTable:
    """Open the table ``name`` in the folder ``uri`` at ``version``, or at its latest.

    Raises:
        LakeError: when the table or version does not exist or cannot be read.
        UnreachableError: when the store does not answer.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = DeltaTable(uri, version=version)
    except DeltaError as error:
        if isinstance(error, TableNotFoundError) and not table_exists(uri):
            raise LakeError(
                f"there is no table {name}", where=uri, fix="run the task that writes it (docs/runbooks/)"
            ) from error
        if version is None:
            raise LakeError(
                f"{name} cannot be opened ({error})",
                where=uri,
                fix="restore the files of its _delta_log, or drop the feature that is named",
            ) from error
        raise LakeError(
            f"version {version} of {name} cannot be read ({error})",
            where=uri,
            fix="choose a version within the table's retention, or run without a pinned version",
        ) from error
    except OSError as error:
        raise UnreachableError(f"the lake does not answer ({error})", where=uri, fix="check NIGHTJAR_LAKE") from error
    check_readable(table, uri)
    return table


def table_exists(uri: str) -> bool:
    """Return whether a table has been written to this folder at least once."""
    return bool(files.list_files(f"{uri}/_delta_log"))


def retention(schema: TableSchema) -> dict[str, str]:
    """Return the Delta properties that make every engine respect the declared retention.

    By default a checkpoint drops the record of a replaced file after seven days, and a vacuum then deletes the file as
    one never published. Only maintenance shortens the log: engines go by a commit's age, and would remove the commit of
    a version that was the latest until yesterday.
    """
    return {
        "delta.deletedFileRetentionDuration": f"interval {schema.retention_days} days",
        "delta.enableExpiredLogCleanup": "false",
    }


def rows_by_night(table: DeltaTable, nights: Iterable[date]) -> dict[date, int]:
    """Return the rows of each of ``nights``; 0 for a night that is not in the table."""
    rows = {night.isoformat(): 0 for night in nights}
    for file in active_files(table, {"ds": list(rows)}):
        rows[file.partition["ds"]] += file.rows
    return {date.fromisoformat(night): count for night, count in rows.items()}
