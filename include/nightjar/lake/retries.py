"""Retry of writes that delta-rs rejects: repeated after a conflict, an immediate error for a lasting cause.

delta-rs raises one exception for both; the table tells them apart. After a conflict with another writer there is a
newer version. Without one, the table itself was the cause, and the write would fail every time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nightjar.lake import files
from nightjar.protocol.errors import ConflictError, LakeError

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

COMMIT_SECONDS, MAX_PAUSE_SECONDS = 300.0, 2.0
"""Time limit and longest pause for retrying a commit on top of commits to other nights."""


class Retry:
    """Retries of one change to a table, each on top of what others have committed meanwhile.

    Attributes:
        conflict: Why delta-rs rejected the last attempt; None when it succeeded.
    """

    def __init__(self, table: str) -> None:
        self.conflict: CommitFailedError | None = None
        self._table, self._tries = table, 0
        self._deadline = time.monotonic() + COMMIT_SECONDS

    @contextmanager
    def handle_conflict(self, table: DeltaTable, where: str) -> Iterator[None]:
        """Handle a conflict with another writer during a change to ``table``: wait a little for the retry.

        Raises:
            LakeError: when the cause lasts, so that a retry would fail too.
            ConflictError: when other writers stayed ahead until the time limit; retryable.
        """
        from deltalake.exceptions import CommitFailedError

        self.conflict = None
        version = table.version()
        try:
            with writing_errors(where):
                yield
        except CommitFailedError as error:
            table.update_incremental()
            if table.version() == version:
                raise _lasting(where, error) from error
            if time.monotonic() > self._deadline:
                raise ConflictError(
                    f"other writers kept changing {self._table} ({error})",
                    where=where,
                    fix="nothing, the task is retried",
                ) from error
            self.conflict = error
            self._pause()

    def _pause(self) -> None:
        """Wait for a random time (jitter) that grows with the number of attempts."""
        self._tries += 1
        time.sleep(random.uniform(0, min(MAX_PAUSE_SECONDS, 0.05 * 1.3**self._tries)))  # noqa: S311


@contextmanager
def writing_errors(where: str) -> Iterator[None]:
    """Turn errors of delta-rs on an unwritable table into an error with a fix; a commit conflict passes through.

    Raises:
        LakeError: when the table has a feature that delta-rs does not write.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        with files.storage_errors(where):
            yield
    except CommitFailedError:
        raise
    except DeltaError as error:
        raise _lasting(where, error) from error


def _lasting(where: str, error: Exception) -> LakeError:
    return LakeError(
        f"delta-rs cannot write the table ({error})",
        where=where,
        fix="migrate the table: drop the feature that is named, or copy the rows into a table without it",
    )
