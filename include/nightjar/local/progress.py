"""Progress of a command: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO

HEARTBEAT_SECONDS = 15.0


class Progress:
    """Progress of a command.

    On a terminal one line is rewritten. Elsewhere a line is printed when the text changes, and every
    ``HEARTBEAT_SECONDS`` otherwise, so that a log shows the same progress.

    Args:
        stream: Output stream; default: standard output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._started = time.monotonic()
        self._text = ""
        self._printed_at = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the command started."""
        return time.monotonic() - self._started

    def now(self, text: str, detail: str = "") -> None:
        """Show what is running; call it often.

        Args:
            text: What is running. Off a terminal, a change prints a new line.
            detail: Details that change often (seconds, counts). Off a terminal, a change of these alone prints nothing
                until the next heartbeat.
        """
        line = f"{self.seconds:5.0f} s  {text}{detail and f' ({detail})'}"
        if self._live:
            width = shutil.get_terminal_size().columns
            self._write(f"\r\x1b[2K{line[: width - 1]}")
        elif text != self._text or time.monotonic() - self._printed_at >= HEARTBEAT_SECONDS:
            self._write(f"{line}\n")
            self._printed_at = time.monotonic()
        self._text = text

    def say(self, line: str) -> None:
        """Print a permanent line."""
        self._write(f"\r\x1b[2K{line}\n" if self._live else f"{line}\n")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
