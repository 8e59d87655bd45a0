"""Processes of a machine, identified by id and start time because ids are reused. Linux; standard library only."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process, stored as JSON in the lake.

    Attributes:
        host: Name of its machine.
        pid: Process id.
        born: Start time in clock ticks since boot; differs for another process with the same id.
    """

    host: str
    pid: int
    born: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has the id ``pid`` on this machine now."""
        return cls(host=socket.gethostname(), pid=pid, born=_born(pid))

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether this process still runs on this machine."""
        return self.is_here and 0 < self.born == _born(self.pid)

    def kill_group(self) -> bool:
        """Kill its process group if it still runs on this machine; return whether it was running."""
        with suppress(ProcessLookupError):
            if self.is_alive:
                os.killpg(os.getpgid(self.pid), signal.SIGKILL)
                return True
        return False


def _born(pid: int) -> int:
    """Return the start time of the process; 0 when it does not exist or is a zombie."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state == "Z" else int(fields[18])
