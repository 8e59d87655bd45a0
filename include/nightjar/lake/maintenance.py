"""What keeps a table small and quick: old files go, small files of tables that are only appended to become few.

Tables of nights are not compacted: a night is written whole, in files of about the size of what a task has read, and
their names are what reruns pin.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from nightjar.contracts.tables import TableSchema
from nightjar.lake import delta, files

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
    """

    table: str
    version: int
    files: int
    put_together: int
    removed: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def maintain(lake: str, schema: TableSchema) -> Maintained | None:
    """Tend one table; None when it is not there. Safe beside writers and readers, and when killed anywhere.

    A file is removed when it was replaced, or last written without ever being part of a version, more than
    ``schema.retention_days`` ago.

    Raises:
        UnreachableError: when the store does not answer.
    """
    if not delta.table_exists(lake, schema.name):
        return None
    table = delta.open_table(lake, schema.name)
    put_together = 0
    with files.explained(delta.table_uri(lake, schema.name)):
        if schema.append_only:
            put_together = int(table.optimize.compact(target_size=TARGET_BYTES)["numFilesRemoved"])
        hours = 24 * schema.retention_days
        going = table.vacuum(retention_hours=hours, full=True, dry_run=True)
        removed = table.vacuum(retention_hours=hours, full=True, dry_run=False) if going else []
    done = Maintained(
        table=schema.name,
        version=int(table.version()),
        files=len(delta.held_files(table, {})),
        put_together=put_together,
        removed=len(removed),
    )
    log.info(
        "%s@%d: %d files; %d put together, %d removed (older than %d days)",
        done.table, done.version, done.files, done.put_together, done.removed, schema.retention_days,
    )  # fmt: skip
    return done
