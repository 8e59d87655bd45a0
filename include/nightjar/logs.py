"""Logging of programs, with credentials redacted in all lines and tracebacks."""

from __future__ import annotations

import logging
import sys

from nightjar.settings.secrets import redacted

TIMED = "%(asctime)s %(levelname)s %(name)s: %(message)s"
PLAIN = "%(message)s"


class RedactingFormatter(logging.Formatter):
    """Formatter that redacts credentials."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record without credentials."""
        return redacted(super().format(record))


def log_to_stdout(line_format: str) -> None:
    """Send log records of level INFO and above to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(RedactingFormatter(line_format))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
