"""Errors in stored rows of a monitoring table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nightjar.declaration.tables import TableSchema
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import LakeError


@contextmanager
def naming_stored_row(schema: TableSchema) -> Iterator[None]:
    """Turn an error in the JSON of a row into a LakeError that names the table."""
    fix = "find out what wrote the row; a rerun of the night replaces it"
    with reading("a row's JSON", where=schema.name, fix=fix, error=LakeError):
        yield
