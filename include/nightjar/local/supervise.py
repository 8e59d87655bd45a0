"""A process that keeps one server, and takes the whole tree below it down when asked to or when its parent is gone.

Airflow's standalone leaves children behind on SIGTERM, tasks run in process groups of their own, and a Spark
application outlives the task that started it. So the server runs under this small supervisor, which holds its standard
input as a lifeline: end of file means that whoever started it is gone, even by ``kill -9``. As a child subreaper it
inherits whatever is orphaned below it, so walking its descendants misses nothing.

Usage: ``python -m nightjar.local.supervise COMMAND …`` with a pipe as standard input.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

GRACE_SECONDS = 4.0
_PR_SET_CHILD_SUBREAPER = 36


def descendants(pid: int, spared: Set[int] = frozenset()) -> list[int]:
    """Process ids below ``pid``, the nearest first, without those ``spared`` and what is below them.

    One that changes its parent while we look may be missed: look twice before saying that none is left.
    """
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    front = [pid]
    while front:
        front = [child for parent in front for child in children.get(parent, []) if child not in spared]
        found += front
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Each process and its parent; dead ones that nobody has waited for are left out."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
            if state != "Z":
                yield int(stat.parent.name), int(parent)


def end_descendants(spared: Set[int] = frozenset(), grace_seconds: float = GRACE_SECONDS) -> None:
    """End all processes below this one: SIGTERM, then SIGKILL to those that are left after ``grace_seconds``.

    Args:
        spared: Those that are none of the caller's business, with all that is below them.
        grace_seconds: How long a process has to end by itself.
    """
    me = os.getpid()
    _signal_all(descendants(me, spared), signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while left := descendants(me, spared) or descendants(me, spared):
        if time.monotonic() > deadline:
            _signal_all(left, signal.SIGKILL)
        time.sleep(0.05)


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def become_subreaper() -> None:
    """Make orphans below this process its children."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def supervise(command: Sequence[str]) -> int:
    """Run ``command`` until it ends, SIGTERM comes or standard input closes; then end all that is left below.

    Returns:
        The command's exit status; 0 when it was asked to end.
    """
    become_subreaper()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    asked = False
    while not asked and server.poll() is None:
        ready, _, _ = select.select([woken, sys.stdin], [], [], 5)
        signals = os.read(woken, 1024) if woken in ready else b""
        asked = sys.stdin in ready or signal.SIGTERM in signals or signal.SIGINT in signals
    end_descendants()
    return 0 if asked else server.returncode


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
