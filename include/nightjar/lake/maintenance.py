"""Maintenance of a table: vacuum old files, and compact the small files of append-only tables.

Tables of nights are not compacted: a night is written whole, in files about the size of what a task has read, and
reruns pin their names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from nightjar.declaration.tables import TableSchema
from nightjar.lake import delta, files
from nightjar.lake.active_files import active_files, table_errors
from nightjar.lake.log_files import shorten_log
from nightjar.lake.retries import Retry
from nightjar.lake.table import Table
from nightjar.protocol.results import TableMaintenance

if TYPE_CHECKING:
    from deltalake import DeltaTable

R = TypeVar("R")
log = logging.getLogger(__name__)
TARGET_BYTES = 128 << 20
"""Target size of a compacted file."""


def maintain(table: Table) -> TableMaintenance | None:
    """Maintain a table; None when it does not exist. Safe with concurrent readers and writers, and when killed.

    A file is deleted when it was replaced more than ``retention_days`` of its schema ago, or last written that long ago
    without ever being part of a version.

    Raises:
        LakeError: when the table is not as declared; it is left unchanged.
        UnreachableError: when the store does not answer.
        ConflictError: when other writers stay ahead until the time limit.
    """
    if not table.exists():
        return None
    table.check()
    schema = table.schema
    _on_latest(table, lambda opened: _declare_retention(opened, schema))
    compacted = _on_latest(table, _compact_files) if schema.append_only else 0
    latest = table.open()
    removed = _vacuum(latest, table.uri, schema.retention_days)
    result = TableMaintenance(
        table=schema.name,
        version=int(latest.version()),
        files=len(active_files(latest, {})),
        compacted=compacted,
        removed=removed,
        log_removed=shorten_log(table.uri, schema.retention_days),
    )
    log.info(
        "%s@%d: %d files; %d compacted, %d removed (older than %d days), and %d of the log",
        result.table, result.version, result.files, result.compacted, result.removed, schema.retention_days,
        result.log_removed,
    )  # fmt: skip
    return result


def _declare_retention(table: DeltaTable, schema: TableSchema) -> None:
    properties = delta.retention(schema)
    if not properties.items() <= table.metadata().configuration.items():
        table.alter.set_table_properties(properties)


def _compact_files(table: DeltaTable) -> int:
    return int(table.optimize.compact(target_size=TARGET_BYTES)["numFilesRemoved"])


def _vacuum(table: DeltaTable, uri: str, retention_days: int) -> int:
    """Delete unreferenced files, and return their number.

    delta-rs selects them. It counts deletion vectors as unreferenced, so only data files are deleted.
    """
    with table_errors(uri):
        unreferenced = table.vacuum(retention_hours=24 * retention_days, full=True, dry_run=True)
    removed = [path for path in unreferenced if path.endswith(".parquet")]
    for path in removed:
        files.delete_file(f"{uri}/{path}")
    return len(removed)


def _on_latest(table: Table, work: Callable[[DeltaTable], R]) -> R:
    """Do ``work`` on the latest version, and retry when another writer was quicker.

    Raises:
        LakeError: when delta-rs cannot write the table.
        ConflictError: when other writers stay ahead until the time limit.
    """
    retry = Retry(table.schema.name)
    while True:
        latest = table.open()
        with retry.handle_conflict(latest, table.uri):
            return work(latest)
