"""Which servers are up: a lock that is released when its holders die, and a file with their addresses."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from nightjar.local.ports import Ports
from nightjar.protocol.documents import dump_json, load_json, reading


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Servers of a run that is up or starting.

    Attributes:
        pid: Process that started them; they end with it.
        ports: Ports of the servers.
        sockets: Folder of the database's socket.
    """

    pid: int
    ports: Ports
    sockets: str


class RunLock:
    """Lock held by a run and its supervisors; free only when all of them have ended, in whatever way."""

    def __init__(self, run_file: Path) -> None:
        self._run_file = run_file
        run_file.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(run_file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)

    def acquire(self) -> bool:
        """Take the lock and remove a killed run's state file; False when a run is up."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._run_file.unlink(missing_ok=True)
        return True

    def publish(self, state: RunState) -> None:
        """Write the servers' addresses for other commands."""
        unfinished = self._run_file.with_suffix(".tmp")
        unfinished.write_text(dump_json(state))
        unfinished.replace(self._run_file)

    def release(self) -> None:
        """Remove the state file and release the lock."""
        self._run_file.unlink(missing_ok=True)
        os.close(self.descriptor)


def read_state(run_file: Path) -> RunState | None:
    """Return the running servers; None when no run is up (the file of a killed run does not count).

    Raises:
        ConfigurationError: when a run is up and its file has no valid addresses.
    """
    lock = RunLock(run_file)
    try:
        if lock.acquire():
            return None
        fix = "end the run (Ctrl-C where it was started), and start it again with `make run`"
        with reading("the file with the servers' addresses", where=str(run_file), fix=fix):
            return load_json(RunState, run_file.read_bytes())
    except FileNotFoundError:  # starting: the lock is held, and the addresses are not written yet
        return None
    finally:
        os.close(lock.descriptor)
