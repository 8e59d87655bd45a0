"""Journal file of a study's trials, shared by workers; a partial line is removed before the next write."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from nightjar.lake import files

if TYPE_CHECKING:
    from optuna.storages.journal import JournalFileBackend

_PIECE = 1 << 16


def open_journal(path: str) -> JournalFileBackend:
    """Return Optuna's backend for a file of JSON lines.

    A partial line, left by a full disk or a kill, is removed under the lock before lines are appended.

    Raises:
        StorageFullError: by the backend, when the disk is full; the file is unchanged.
    """
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class Journal(JournalFileBackend):
        def __init__(self) -> None:
            self._lines_lock = JournalFileOpenLock(path)
            super().__init__(path, self._lines_lock)

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
            self._lines_lock.acquire()
            try:
                with files.storage_errors(path):
                    append_lines(path, lines)
            finally:
                self._lines_lock.release()

    return Journal()


def append_lines(path: str, lines: bytes) -> None:
    """Append lines to a file after removing a partial last line; either all lines are written or none.

    Raises:
        OSError: when the lines cannot be written.
    """
    with open(path, "r+b") as file:
        end = _end_of_last_line(path)
        file.truncate(end)
        file.seek(end)
        try:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise


def _end_of_last_line(path: str) -> int:
    """Return the position after the file's last line end, in bytes."""
    with open(path, "rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position:
            start = max(0, position - _PIECE)
            file.seek(start)
            line_end = file.read(position - start).rfind(b"\n")
            if line_end >= 0:
                return start + line_end + 1
            position = start
    return 0
