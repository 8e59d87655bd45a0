"""Append a few rows to a Delta table, once, also where the answer to the commit is lost."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from nightjar.declaration.tables import TableSchema
from nightjar.lake.declared import check_declared
from nightjar.lake.delta import ENGINE, arrow_schema, delta_schema, ensure_table, table_uri
from nightjar.lake.retries import Retry

if TYPE_CHECKING:
    import pyarrow as pa


def append(lake: str, schema: TableSchema, rows: pa.Table) -> int:
    """Append a small Arrow table (the ledger's events) once; return the version made.

    Appends never conflict for delta-rs: where the answer to a commit is lost it would find the version taken, and
    append again. All appends therefore say the same application's name, so that it refuses, and the log tells whose
    commit it was.

    Raises:
        LakeError: when the table is not as declared, or delta-rs cannot write it.
        ConflictError: when others were quicker until the time was over; worth a retry.
    """
    import pyarrow as pa
    from deltalake import CommitProperties, Transaction, write_deltalake

    plain = pa.schema([field.remove_metadata() for field in arrow_schema(schema)])  # comments are the table's affair
    uri, mine = table_uri(lake, schema.name), uuid.uuid4().hex
    properties = CommitProperties(
        custom_metadata={"engine": ENGINE, "append": mine},
        app_transactions=[Transaction(f"{ENGINE}/append", time.time_ns() // 1_000_000)],
    )
    table = ensure_table(lake, schema)
    before, retry = int(table.version()), Retry(schema.name)
    while True:
        with retry.refusals(table, uri):
            write_deltalake(table, rows.cast(plain), mode="append", commit_properties=properties)
        table.update_incremental()
        if retry.refused is None:
            return int(table.version())
        since = table.history(int(table.version()) - before)
        if made := [int(commit["version"]) for commit in since if commit.get("append") == mine]:
            return made[0]  # it had gone through, and its answer was lost
        check_declared(table, schema, delta_schema(schema), uri)
