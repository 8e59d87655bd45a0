"""What keeps a table small and quick: old files go, small files of tables that are only appended to become few.

Tables of nights are not compacted: a night is written whole, in files of about the size of what a task has read, and
their names are what reruns pin.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from nightjar.declaration.tables import TableSchema
from nightjar.lake import delta, files
from nightjar.lake.held_files import held_files, table_errors
from nightjar.lake.log_files import shorten_log
from nightjar.lake.retries import Retry

if TYPE_CHECKING:
    from deltalake import DeltaTable

Done = TypeVar("Done")
log = logging.getLogger(__name__)
TARGET_BYTES = 128 << 20
"""Of a file that compaction makes."""


@dataclass(frozen=True, kw_only=True)
class Maintained:
    """What was done to a table.

    Attributes:
        table: Its name.
        version: Afterwards.
        files: Data files that the version holds.
        put_together: Files that compaction has replaced.
        removed: Files that no version within the retention holds, and that are gone from the store.
        log_removed: Files of the log from which no version within the retention is read, and that are gone too.
    """

    table: str
    version: int
    files: int
    put_together: int
    removed: int
    log_removed: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def maintain(lake: str, schema: TableSchema) -> Maintained | None:
    """Tend one table; None when it is not there. Safe beside writers and readers, and when killed anywhere.

    A file is removed when it was replaced, or last written without ever being part of a version, more than
    ``schema.retention_days`` ago.

    Raises:
        LakeError: when the table is not as declared; it is left as it is.
        UnreachableError: when the store does not answer.
        ConflictError: when writers are always quicker.
    """
    if not delta.table_exists(lake, schema.name):
        return None
    delta.check_table(lake, schema)
    _on_the_latest(lake, schema, lambda table: _declare_retention(table, schema))
    put_together = _on_the_latest(lake, schema, _compact_files) if schema.append_only else 0
    uri, table = delta.table_uri(lake, schema.name), delta.open_table(lake, schema.name)
    removed = _vacuum(table, uri, schema.retention_days)
    done = Maintained(
        table=schema.name,
        version=int(table.version()),
        files=len(held_files(table, {})),
        put_together=put_together,
        removed=removed,
        log_removed=shorten_log(uri, schema.retention_days),
    )
    log.info(
        "%s@%d: %d files; %d put together, %d removed (older than %d days), and %d of the log",
        done.table, done.version, done.files, done.put_together, done.removed, schema.retention_days, done.log_removed,
    )  # fmt: skip
    return done


def _declare_retention(table: DeltaTable, schema: TableSchema) -> None:
    wanted = delta.retention(schema)
    if not wanted.items() <= table.metadata().configuration.items():
        table.alter.set_table_properties(wanted)


def _compact_files(table: DeltaTable) -> int:
    return int(table.optimize.compact(target_size=TARGET_BYTES)["numFilesRemoved"])


def _vacuum(table: DeltaTable, uri: str, retention_days: int) -> int:
    """Remove the files; how many.

    delta-rs says which: it takes a deletion vector for a file that no version holds, so that only data files go.
    """
    with table_errors(uri):
        gone = table.vacuum(retention_hours=24 * retention_days, full=True, dry_run=True)
    going = [path for path in gone if path.endswith(".parquet")]
    for path in going:
        files.delete_file(f"{uri}/{path}")
    return len(going)


def _on_the_latest(lake: str, schema: TableSchema, work: Callable[[DeltaTable], Done]) -> Done:
    """Do ``work``, again where a writer was quicker: nothing of maintenance rests on what the table held before.

    Raises:
        LakeError: when delta-rs cannot write the table.
        ConflictError: when writers are always quicker.
    """
    retry = Retry(schema.name)
    while True:
        table = delta.open_table(lake, schema.name)
        with retry.refusals(table, delta.table_uri(lake, schema.name)):
            return work(table)
