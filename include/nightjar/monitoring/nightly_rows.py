"""Rows of monitoring tables, a use case's part of some nights at a time: replaced in one commit, and read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from nightjar.declaration.tables import TableSchema
from nightjar.lake import delta
from nightjar.lake.parquet import write_files
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import LakeError


def replace_rows(
    lake: str,
    schema: TableSchema,
    rows: Sequence[Mapping[str, Any]],
    nights: Iterable[date],
    *,
    use_case: str,
    run_id: str,
) -> int:
    """Make ``rows`` the use case's part of ``nights`` of a monitoring table, in one commit; return the version made.

    A few dozen rows a night: they are written from here, without a Spark job.
    """
    import pyarrow as pa

    target = delta.arrow_schema(schema)
    table = pa.Table.from_pylist([dict(row) for row in rows], target)
    uri = delta.table_uri(lake, schema.name)
    written = write_files(iter(table.to_batches()), uri, target, schema.partition_by)
    return delta.commit(lake, schema, written, nights, run_id=run_id, within={"use_case": [use_case]})


@contextmanager
def naming_stored_row(schema: TableSchema) -> Iterator[None]:
    """Turn what a JSON text in a row of a monitoring table raises into one error that names the table."""
    fix = "see who wrote the row; run the night again, which replaces it"
    with reading("a row's JSON", where=schema.name, fix=fix, error=LakeError):
        yield


def read_stored_rows(
    lake: str, schema: TableSchema, use_case: str, nights: Iterable[date], columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The use case's rows of ``nights`` of a monitoring table; none where nobody has written it yet.

    Args:
        lake: The lake's root.
        schema: The table.
        use_case: Name of the use case.
        nights: Which.
        columns: Which columns besides ``use_case``; None for all.
    """
    wanted = list(nights)
    if not wanted or not delta.table_exists(lake, schema.name):
        return []
    read = None if columns is None else ["use_case", *columns]
    rows = delta.read_nights(lake, schema.name, wanted, read).to_pylist()
    return [row for row in rows if row["use_case"] == use_case]
