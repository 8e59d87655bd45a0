"""The file in which workers share a study's trials: whole lines only, whatever a write was cut off by."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from nightjar.lake import files

if TYPE_CHECKING:
    from optuna.storages.journal import JournalFileBackend

_PIECE = 1 << 16


def open_journal(path: str) -> JournalFileBackend:
    """Return Optuna's backend for a file of JSON lines, which leaves no half a line for the next line to be joined to.

    A line that a full disk or a kill has cut off is removed, under the lock, before anything is appended.

    Raises:
        StorageFullError: by the backend, when the disk takes no further line; the file stays as it was.
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
                with files.explained(path):
                    append_lines(path, lines)
            finally:
                self._lines_lock.release()

    return Journal()


def append_lines(path: str, lines: bytes) -> None:
    """Append whole lines to a file, after removing what follows its last line end; all of them or none.

    Raises:
        OSError: when they cannot be written.
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
    """Bytes of the file up to and with its last line end."""
    with open(path, "rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position:
            start = max(0, position - _PIECE)
            file.seek(start)
            found = file.read(position - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            position = start
    return 0
