"""What delta-rs refuses to write: again when somebody was quicker, and named at once when the cause lasts.

delta-rs raises one exception for both. The table tells them apart: who loses to another writer finds a newer version;
who finds the version that they wrote on top of was refused for what the table is, and will be again.
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
"""So long, and with pauses no longer than this, a commit is tried again on top of commits to other nights."""


class Retry:
    """Tries of one change to a table, each on top of what others have committed meanwhile.

    Attributes:
        refused: Why delta-rs refused the last try; None when it did not.
    """

    def __init__(self, table: str) -> None:
        self.refused: CommitFailedError | None = None
        self._table, self._tries = table, 0
        self._deadline = time.monotonic() + COMMIT_SECONDS

    @contextmanager
    def refusals(self, table: DeltaTable, where: str) -> Iterator[None]:
        """Take what delta-rs raises when another writer was quicker than a change to ``table``, and wait a little.

        Raises:
            LakeError: when it would refuse the change again.
            ConflictError: when others were quicker until the time was over; worth a retry.
        """
        from deltalake.exceptions import CommitFailedError

        self.refused = None
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
                    f"others write to {self._table} all the while ({error})",
                    where=where,
                    fix="nothing, the task is tried again",
                ) from error
            self.refused = error
            self._pause()

    def _pause(self) -> None:
        """The more tries there are, the longer they wait, each for another time, so that they do not meet again."""
        self._tries += 1
        time.sleep(random.uniform(0, min(MAX_PAUSE_SECONDS, 0.05 * 1.3**self._tries)))  # noqa: S311


@contextmanager
def writing_errors(where: str) -> Iterator[None]:
    """Turn what delta-rs raises when it cannot write a table into an error that says what to do; not a refused commit.

    Raises:
        LakeError: when the table has something that delta-rs does not write.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        with files.explained(where):
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
