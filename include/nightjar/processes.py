"""A process of one machine, told apart from a later one that got the same id. Linux; standard library only."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightjar.protocol.documents import check_fields


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process, as JSON in the lake.

    Attributes:
        host: The machine that it runs on.
        pid: Its id there.
        born: When it started, in clock ticks since that machine's start; another process of the same id has another.
    """

    host: str
    pid: int
    born: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has the id ``pid`` on this machine now."""
        return cls(host=socket.gethostname(), pid=pid, born=_born(pid))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Process:
        """What :func:`dataclasses.asdict` gave, with or without more; call it within
        :func:`nightjar.protocol.documents.reading`.
        """
        process = cls(host=document["host"], pid=document["pid"], born=document["born"])
        check_fields(process)
        return process

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs on this machine."""
        return self.is_here and 0 < self.born == _born(self.pid)

    def kill_group(self) -> bool:
        """Kill it with its process group, if it still runs on this machine; return whether it did."""
        with suppress(ProcessLookupError):
            if self.is_alive:
                os.killpg(os.getpgid(self.pid), signal.SIGKILL)
                return True
        return False


def _born(pid: int) -> int:
    """When the process started; 0 when there is none, or only its exit status is left."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state == "Z" else int(fields[18])
