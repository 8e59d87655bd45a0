"""Logs of programs: their lines show no credentials, tracebacks included."""

from __future__ import annotations

import logging
import sys

from nightjar.settings.secrets import redacted

TIMED = "%(asctime)s %(levelname)s %(name)s: %(message)s"
PLAIN = "%(message)s"


class RedactingFormatter(logging.Formatter):
    """A formatter whose lines show no credentials."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        return redacted(super().format(record))


def log_to_stdout(line_format: str) -> None:
    """Send what a program logs, from INFO on, to its standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(RedactingFormatter(line_format))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
