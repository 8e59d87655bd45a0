"""Append a few rows to a Delta table exactly once, even when the reply to the commit is lost."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from nightjar.declaration.tables import TableSchema
from nightjar.lake.declared import check_declared
from nightjar.lake.delta import ENGINE, arrow_schema, delta_schema
from nightjar.lake.retries import Retry

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


def append_rows(table: DeltaTable, uri: str, schema: TableSchema, rows: pa.Table) -> int:
    """Append a small Arrow table once, and return the new version.

    delta-rs sees no conflict between appends: after a lost reply it would find the version taken and append a second
    time. All appends therefore name the same application transaction, so that delta-rs rejects the repeat, and the log
    says whose commit it was.

    Args:
        table: The table as declared, opened at its latest version.
        uri: The table's folder.
        schema: The declared table.
        rows: Rows with the declared columns.

    Raises:
        LakeError: when the table is not as declared, or delta-rs cannot write it.
        ConflictError: when other writers stayed ahead until the time limit; retryable.
    """
    import pyarrow as pa
    from deltalake import CommitProperties, Transaction, write_deltalake

    plain = pa.schema([field.remove_metadata() for field in arrow_schema(schema)])  # the table keeps its own comments
    append_id = uuid.uuid4().hex
    properties = CommitProperties(
        custom_metadata={"engine": ENGINE, "append": append_id},
        app_transactions=[Transaction(f"{ENGINE}/append", time.time_ns() // 1_000_000)],
    )
    version_before, retry = int(table.version()), Retry(schema.name)
    while True:
        with retry.handle_conflict(table, uri):
            write_deltalake(table, rows.cast(plain), mode="append", commit_properties=properties)
        table.update_incremental()
        if retry.conflict is None:
            return int(table.version())
        later_commits = table.history(int(table.version()) - version_before)
        if versions := [int(commit["version"]) for commit in later_commits if commit.get("append") == append_id]:
            return versions[0]  # the commit had succeeded, and its reply was lost
        check_declared(table, schema, delta_schema(schema), uri)
