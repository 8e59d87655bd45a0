"""A job's log in the lake, readable while the job runs."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

from nightjar.lake import files
from nightjar.logs import TIMED, RedactingFormatter
from nightjar.protocol.errors import NightjarError

FLUSH_SECONDS = 0.5


class JobLog(logging.Handler):
    """Copy all log lines within a ``with`` block to a file of the lake, rewritten twice a second.

    The whole file is rewritten because object stores cannot append; job logs are small.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(RedactingFormatter(TIMED, "%H:%M:%S"))
        self._uri = uri
        self._lines: list[str] = []
        self._written = -1
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._flusher = threading.Thread(target=self._flush_until_closed, name="job-log", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Add the record's line."""
        self._lines.append(self.format(record))

    def __enter__(self) -> JobLog:
        logging.getLogger().addHandler(self)
        self._flusher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self)
        self._closed.set()
        self._flusher.join()
        self.write()

    def write(self) -> None:
        """Write new lines to the file; an error does not stop the job."""
        with self._writing:
            count = len(self._lines)
            if count == self._written:
                return
            try:
                files.write_text(self._uri, "".join(line + "\n" for line in self._lines[:count]))
                self._written = count
            except NightjarError as error:
                sys.stderr.write(f"the log {self._uri} cannot be written: {error}\n")

    def _flush_until_closed(self) -> None:
        while not self._closed.wait(FLUSH_SECONDS):
            self.write()
