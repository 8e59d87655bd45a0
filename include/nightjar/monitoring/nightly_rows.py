"""Read and replace the rows of one use case and some nights in a monitoring table."""

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
    """Replace the use case's rows of ``nights`` in one commit, and return the new table version.

    A night has a few dozen rows, so they are written without a Spark job.
    """
    import pyarrow as pa

    target = delta.arrow_schema(schema)
    table = pa.Table.from_pylist([dict(row) for row in rows], target)
    uri = delta.table_uri(lake, schema.name)
    written = write_files(iter(table.to_batches()), uri, target, schema.partition_by)
    return delta.commit(lake, schema, written, nights, run_id=run_id, within={"use_case": [use_case]})


@contextmanager
def naming_stored_row(schema: TableSchema) -> Iterator[None]:
    """Turn an error in the JSON of a row into a LakeError that names the table."""
    fix = "find out what wrote the row; a rerun of the night replaces it"
    with reading("a row's JSON", where=schema.name, fix=fix, error=LakeError):
        yield


def read_stored_rows(
    lake: str, schema: TableSchema, use_case: str, nights: Iterable[date], columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the use case's rows of ``nights``; empty when the table does not exist yet.

    Args:
        lake: The lake's root.
        schema: The table.
        use_case: Name of the use case.
        nights: Nights to read.
        columns: Columns to read besides ``use_case``; None for all.
    """
    wanted = list(nights)
    if not wanted or not delta.table_exists(lake, schema.name):
        return []
    read = None if columns is None else ["use_case", *columns]
    rows = delta.read_nights(lake, schema.name, wanted, read).to_pylist()
    return [row for row in rows if row["use_case"] == use_case]
