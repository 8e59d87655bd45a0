"""What keeps a table small and quick: old files go, small files of tables that are only appended to become few.

Tables of nights are not compacted: a night is written whole, in files of about the size of what a task has read, and
their names are what reruns pin.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from deltalake.exceptions import CommitFailedError

from nightjar.contracts.errors import ConflictError
from nightjar.contracts.tables import TableSchema
from nightjar.lake import delta, files

if TYPE_CHECKING:
    from deltalake import DeltaTable

Done = TypeVar("Done")
log = logging.getLogger(__name__)
TARGET_BYTES = 128 << 20
"""Of a file that compaction makes."""
PAUSE_SECONDS = 0.2
"""At most, before what a writer was in the way of is tried again."""


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
        UnreachableError: when the store does not answer.
        ConflictError: when writers are always quicker.
    """
    if not delta.table_exists(lake, schema.name):
        return None
    _on_the_latest(lake, schema, lambda table: _declare_retention(table, schema))
    put_together = _on_the_latest(lake, schema, _put_together) if schema.append_only else 0
    removed = _vacuum(lake, schema)
    table = delta.open_table(lake, schema.name)
    done = Maintained(
        table=schema.name,
        version=int(table.version()),
        files=len(delta.held_files(table, {})),
        put_together=put_together,
        removed=removed,
        log_removed=_shorten_log(lake, schema, table),
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


def _put_together(table: DeltaTable) -> int:
    return int(table.optimize.compact(target_size=TARGET_BYTES)["numFilesRemoved"])


def _vacuum(lake: str, schema: TableSchema) -> int:
    """Remove the files; how many."""
    hours = 24 * schema.retention_days

    def vacuum(table: DeltaTable, dry_run: bool = False) -> list[str]:
        return table.vacuum(retention_hours=hours, full=True, dry_run=dry_run)

    going = vacuum(delta.open_table(lake, schema.name), dry_run=True)
    if going:
        _on_the_latest(lake, schema, vacuum)
    return len(going)


def _on_the_latest(lake: str, schema: TableSchema, work: Callable[[DeltaTable], Done]) -> Done:
    """Do ``work``, again where a writer was quicker: nothing of maintenance rests on what the table held before.

    Raises:
        ConflictError: when writers are always quicker.
    """
    uri, deadline = delta.table_uri(lake, schema.name), time.monotonic() + delta.COMMIT_SECONDS
    while True:
        try:
            with files.explained(uri):
                return work(delta.open_table(lake, schema.name))
        except CommitFailedError as error:
            if time.monotonic() > deadline:
                raise ConflictError(
                    f"{schema.name} was written to all the time ({error})",
                    where=uri,
                    fix="nothing, the task is tried again; what it has removed stays removed",
                ) from error
            time.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311


def _shorten_log(lake: str, schema: TableSchema, table: DeltaTable) -> int:
    """Remove the log before the checkpoint from which the oldest version within the retention is read.

    That is the version which was the latest when the retention began, however old its commit. From the oldest on, so
    that what a kill leaves is a whole log.
    """
    began = (time.time() - 86_400 * schema.retention_days) * 1000
    needed = max((made["version"] for made in table.history() if made["timestamp"] <= began), default=0)
    folder = f"{delta.table_uri(lake, schema.name)}/_delta_log"
    versions = {name: int(name[:20]) for name in files.list_files(folder) if re.match(r"\d{20}\.", name)}
    checkpoints = [v for name, v in versions.items() if ".checkpoint." in name and v <= needed]
    going = [name for name, version in versions.items() if version < max(checkpoints, default=0)]
    for name in going:
        files.delete_file(f"{folder}/{name}")
    return len(going)
