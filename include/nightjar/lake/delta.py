"""Delta tables without Spark: open, version, and the commit that replaces whole nights.

Spark tasks and training ranks write Parquet files into a table's folder, where no reader sees them. :func:`commit` then
publishes them as the content of the given nights in one atomic Delta commit. Its cost grows with the number of files,
not of rows.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING

from nightjar.declaration.tables import ColumnType, TableSchema
from nightjar.lake import files
from nightjar.lake.data_file import DataFile
from nightjar.lake.declared import check_declared
from nightjar.lake.held_files import check_readable, held_files, is_within
from nightjar.lake.retries import Retry, writing_errors
from nightjar.lake.rows import read_rows
from nightjar.lake.sameness import same_bytes
from nightjar.protocol.errors import ConflictError, LakeError, UnreachableError
from nightjar.protocol.names import check_location

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable, Schema

ENGINE = "nightjar"


def table_uri(lake: str, name: str) -> str:
    """Return the folder of the table ``name``.

    Raises:
        ConfigurationError: when the lake's folder has a name that some library would misread.
    """
    return f"{check_location(lake, field='lake')}/{name}"


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


def open_table(lake: str, name: str, version: int | None = None) -> DeltaTable:
    """Open a table at ``version``, or at its latest.

    Raises:
        LakeError: when the table or version does not exist or cannot be read.
        UnreachableError: when the store does not answer.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    uri = table_uri(lake, name)
    try:
        table = DeltaTable(uri, version=version)
    except DeltaError as error:
        if isinstance(error, TableNotFoundError) and not table_exists(lake, name):
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


def table_exists(lake: str, name: str) -> bool:
    """Return whether the table has been written at least once."""
    return bool(files.list_files(f"{table_uri(lake, name)}/_delta_log"))


def ensure_table(lake: str, schema: TableSchema) -> DeltaTable:
    """Open a table; create it empty (partitioned by ``ds``, with column comments) when it does not exist.

    Nullable columns that an older table lacks are added; existing rows have null there.

    Raises:
        LakeError: when the table is not as declared, or delta-rs cannot write it.
        ConflictError: when other writers stayed ahead until the time limit; retryable.
    """
    if not table_exists(lake, schema.name):
        _create(lake, schema)
    uri, retry = table_uri(lake, schema.name), Retry(schema.name)
    while True:
        table = open_table(lake, schema.name)
        new = check_declared(table, schema, delta_schema(schema), uri)
        if not new:
            return table
        with retry.refusals(table, uri):
            table.alter.add_columns(new)
            return table


def check_table(lake: str, schema: TableSchema) -> None:
    """Compare an existing table with its declaration, so that a later :func:`commit` does not fail on it.

    Raises:
        LakeError: when it is not as declared.
    """
    if table_exists(lake, schema.name):
        uri = table_uri(lake, schema.name)
        check_declared(open_table(lake, schema.name), schema, delta_schema(schema), uri)


def _create(lake: str, schema: TableSchema) -> None:
    """Create a table. Another process may be quicker, and so may an earlier try whose reply was lost."""
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    uri = table_uri(lake, schema.name)
    with writing_errors(uri), suppress(CommitFailedError):
        DeltaTable.create(
            uri,
            delta_schema(schema),
            mode="ignore",
            partition_by=list(schema.partition_by),
            name=schema.name.replace("/", "_"),
            description=schema.comment,
            configuration=retention(schema),
        )


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
    for file in held_files(table, {"ds": list(rows)}):
        rows[file.partition["ds"]] += file.rows
    return {date.fromisoformat(night): count for night, count in rows.items()}


def commit(
    lake: str,
    schema: TableSchema,
    data_files: Sequence[DataFile],
    nights: Iterable[date],
    *,
    run_id: str,
    within: Mapping[str, Sequence[str]] | None = None,
    attempt: int | None = None,
) -> int:
    """Replace exactly ``nights`` of a table with ``data_files``, in one commit.

    Nights that already hold the same bytes are left alone: a rerun with the same inputs makes no new version, so pinned
    versions stay equal. The new files are then removed, unless they belong to an ``attempt``, which a cleared task may
    publish again. When other nights are committed meanwhile, the commit is retried on top of them. Of two commits that
    replace the same night at the same time, one fails.

    Args:
        lake: The lake's root.
        schema: The declared table.
        data_files: Files in the table's folder that were never part of a version; none for empty nights.
        nights: The partitions to replace.
        run_id: DAG run, recorded with the commit.
        within: Restricts the replacement to values of further partition columns,
            e.g. ``{"use_case": ["flight_delay"]}``.
        attempt: Number that grows with each attempt at these nights, for :func:`last_attempt`; default: the time.

    Returns:
        The version that holds the files.

    Raises:
        LakeError: when a file is missing, has another size, lies outside the partitions, or is already in the table.
        ConflictError: when another commit replaced one of the nights meanwhile; retryable.
    """
    replaced = {"ds": [night.isoformat() for night in nights], **(within or {})}
    table, uri = ensure_table(lake, schema), table_uri(lake, schema.name)
    in_table = held_files(table, {})
    held = [file for file in in_table if is_within(file.partition, replaced)]
    _check_files(uri, {file.path for file in in_table}, data_files, replaced)
    if table.version() > 0 and same_bytes(uri, held, data_files):
        if attempt is None:
            for file in data_files:
                files.delete_file(f"{uri}/{file.path}")
        return int(table.version())
    number = time.time_ns() // 1_000_000 if attempt is None else attempt
    attempts_before, paths = _attempts(table, replaced), {file.path for file in data_files}
    retry = Retry(schema.name)
    while True:
        with retry.refusals(table, uri):
            _try_commit(table, data_files, replaced, run_id=run_id, attempt=number)
        table = open_table(lake, schema.name)
        if retry.refused is None:
            return int(table.version())
        attempts_now = _attempts(table, replaced)
        if set(attempts_now) == {number} and paths == {file.path for file in held_files(table, replaced)}:
            return int(table.version())  # the commit had succeeded, and its reply was lost
        if attempts_now != attempts_before:
            raise ConflictError(
                f"another run replaced the same nights of {schema.name} at the same time ({retry.refused})",
                where=uri,
                how_many=len(replaced["ds"]),
                fix="nothing, the task is retried; check that no two DAGs run the same nights",
            ) from retry.refused
        check_declared(table, schema, delta_schema(schema), uri)


def _try_commit(
    table: DeltaTable,
    data_files: Sequence[DataFile],
    replaced: Mapping[str, Sequence[str]],
    *,
    run_id: str,
    attempt: int,
) -> None:
    """Commit on top of ``table``, leaving its metadata as it is."""
    from deltalake import CommitProperties, Transaction
    from deltalake.transaction import AddAction, RemoveAction

    actions: list[AddAction | RemoveAction] = [
        AddAction(
            path=file.path,
            size=file.size,
            partition_values=dict(file.partition),
            modification_time=0,
            data_change=True,
            stats=file.stats,
        )
        for file in data_files
    ]
    table.create_write_transaction(
        actions,
        mode="overwrite",
        schema=table.schema(),
        partition_by=table.metadata().partition_columns,
        partition_filters=[(column, "in", list(values)) for column, values in replaced.items()],
        commit_properties=CommitProperties(
            custom_metadata={
                "engine": ENGINE,
                "dag_run_id": run_id,
                "nights": ",".join(replaced["ds"]),
                "rows": str(sum(file.rows for file in data_files)),
            },
            app_transactions=[Transaction(name, attempt) for name in _attempt_ids(replaced)],
        ),
    )


def _attempts(table: DeltaTable, replaced: Mapping[str, Sequence[str]]) -> list[int | None]:
    """Return the last attempts at these partitions. A replacement changes them, a compaction does not."""
    return [table.transaction_version(name) for name in _attempt_ids(replaced)]


def last_attempt(table: DeltaTable, night: date) -> int | None:
    """Return the ``attempt`` of the last commit that replaced ``night``; None when no commit recorded one."""
    (name,) = _attempt_ids({"ds": [night.isoformat()]})
    version: int | None = table.transaction_version(name)
    return version


def read_nights(
    lake: str, name: str, nights: Iterable[date], columns: Sequence[str] | None = None, version: int | None = None
) -> pa.Table:
    """Read whole nights of a table as Arrow, with partition pruning. Meant for small tables and tests."""
    return read_rows(open_table(lake, name, version), columns, {"ds": [night.isoformat() for night in nights]})


def _attempt_ids(replaced: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one transaction name per combination of replaced partition values."""
    pairs = [[f"{column}={value}" for value in values] for column, values in replaced.items()]
    return ["/".join([ENGINE, *combination]) for combination in itertools.product(*pairs)]


def _check_files(
    uri: str, held: Collection[str], data_files: Sequence[DataFile], replaced: Mapping[str, Sequence[str]]
) -> None:
    """Check existence, size, partition, statistics and duplicates of the files; delta-rs checks none of these."""
    for file in data_files:
        size = files.size(files.contained(uri, file.path))
        problem = ""
        if size == -1:
            problem = "does not exist"
        elif size != file.size:
            problem = f"has {size} bytes, not {file.size}"
        elif not is_within(file.partition, replaced):
            problem = f"is of {dict(file.partition)}, outside of the replaced partitions"
        elif file.counted_rows() != file.rows:
            problem = f"has statistics that do not say {file.rows} rows"
        elif file.path in held:
            problem = "is already in the table"
        if problem:
            raise LakeError(
                f"the file to publish {problem}", where=f"{uri}/{file.path}", fix="clear the task that wrote it"
            )
