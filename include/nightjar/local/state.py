"""Which servers are up: one lock that dies with its holders, and a file that says where they are."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from nightjar.local.ports import Ports
from nightjar.protocol.documents import check_fields, parse_object, reading


@dataclass(frozen=True, kw_only=True)
class RunState:
    """The servers of a run that is up, or starting.

    Attributes:
        pid: Process that started them; ending it ends them.
        ports: Where they are.
        sockets: Folder of the database's socket.
    """

    pid: int
    ports: Ports
    sockets: str


class RunLock:
    """Held by a run and by its supervisors, so it is free only when all of them are gone, however they ended."""

    def __init__(self, run_file: Path) -> None:
        self._run_file = run_file
        run_file.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(run_file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self) -> bool:
        """Take the lock, and forget where a killed run was; False when a run is up."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._run_file.unlink(missing_ok=True)
        return True

    def publish(self, state: RunState) -> None:
        """Tell other commands where the servers are, or will soon be."""
        unfinished = self._run_file.with_suffix(".tmp")
        unfinished.write_text(json.dumps(asdict(state)))
        unfinished.replace(self._run_file)

    def release(self) -> None:
        """Forget the servers and free the lock."""
        self._run_file.unlink(missing_ok=True)
        os.close(self.descriptor)


def read_state(run_file: Path) -> RunState | None:
    """The servers that are up; None when no run is up (a file left by a killed run does not count).

    Raises:
        ConfigurationError: when a run is up and its file does not say where.
    """
    lock = RunLock(run_file)
    try:
        if lock.acquire():
            return None
        fix = "end the run (Ctrl-C where it was started), and start it again with `make run`"
        with reading("the file that says where the servers are", where=str(run_file), fix=fix):
            document = parse_object(run_file.read_bytes())
            state = RunState(**{**document, "ports": Ports(**document["ports"])})
            check_fields(state)
            check_fields(state.ports)
            return state
    except FileNotFoundError:  # starting: the lock is held, the addresses are not published yet
        return None
    finally:
        os.close(lock.descriptor)
