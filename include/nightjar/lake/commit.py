"""The commit that replaces whole nights of a Delta table.

Spark tasks and training ranks write Parquet files into a table's folder, where no reader sees them.
:meth:`nightjar.lake.table.Table.commit` then publishes them as the content of the given nights in one atomic Delta
commit. Its cost grows with the number of files, not of rows.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from nightjar.declaration.tables import TableSchema
from nightjar.lake import files
from nightjar.lake.active_files import active_files, is_within
from nightjar.lake.declared import check_declared
from nightjar.lake.delta import ENGINE, delta_schema, open_table
from nightjar.lake.retries import Retry
from nightjar.lake.sameness import same_bytes
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.errors import ConflictError, LakeError

if TYPE_CHECKING:
    from deltalake import DeltaTable


def commit_files(
    table: DeltaTable,
    uri: str,
    schema: TableSchema,
    data_files: Sequence[DataFile],
    replaced: Mapping[str, Sequence[str]],
    *,
    run_id: str,
    attempt: int | None = None,
) -> int:
    """Replace the ``replaced`` partitions with ``data_files``, as :meth:`nightjar.lake.table.Table.commit` describes.

    Args:
        table: The table as declared, opened at its latest version.
        uri: The table's folder.
        schema: The declared table.
        data_files: Files in the table's folder that were never part of a version.
        replaced: Partition column to replaced values; ``ds`` is among the columns.
        run_id: DAG run, recorded with the commit.
        attempt: Number that grows with each attempt at these partitions; None for the time.
    """
    active = active_files(table, {})
    replaced_files = [file for file in active if is_within(file.partition, replaced)]
    _check_files(uri, {file.path for file in active}, data_files, replaced)
    if table.version() > 0 and same_bytes(uri, replaced_files, data_files):
        if attempt is None:
            for file in data_files:
                files.delete_file(f"{uri}/{file.path}")
        return int(table.version())
    number = time.time_ns() // 1_000_000 if attempt is None else attempt
    attempts_before, paths = _attempts(table, replaced), {file.path for file in data_files}
    retry = Retry(schema.name)
    while True:
        with retry.handle_conflict(table, uri):
            _try_commit(table, data_files, replaced, run_id=run_id, attempt=number)
        table = open_table(uri, schema.name)
        if retry.conflict is None:
            return int(table.version())
        attempts_now = _attempts(table, replaced)
        if set(attempts_now) == {number} and paths == {file.path for file in active_files(table, replaced)}:
            return int(table.version())  # the commit had succeeded, and its reply was lost
        if attempts_now != attempts_before:
            raise ConflictError(
                f"another run replaced the same nights of {schema.name} at the same time ({retry.conflict})",
                where=uri,
                how_many=len(replaced["ds"]),
                fix="nothing, the task is retried; check that no two DAGs run the same nights",
            ) from retry.conflict
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


def _attempt_ids(replaced: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one transaction name per combination of replaced partition values."""
    pairs = [[f"{column}={value}" for value in values] for column, values in replaced.items()]
    return ["/".join([ENGINE, *combination]) for combination in itertools.product(*pairs)]


def _check_files(
    uri: str, active_paths: Collection[str], data_files: Sequence[DataFile], replaced: Mapping[str, Sequence[str]]
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
        elif file.path in active_paths:
            problem = "is already in the table"
        if problem:
            raise LakeError(
                f"the file to publish {problem}", where=f"{uri}/{file.path}", fix="clear the task that wrote it"
            )
