"""A process that keeps one server up, and ends the whole tree below it when asked to or when its parent is gone.

Airflow's servers leave children behind on SIGTERM, tasks run in process groups of their own, and a Spark application
outlives the task that started it. So each server runs under this small supervisor. It holds its standard input as a
lifeline: end of file means that the process that started it is gone, even by ``kill -9``. As a child subreaper it
adopts every orphan below it, so a walk of its descendants misses none, and it waits for each, so none stays a zombie.

A server that ends by itself is started again after a pause that doubles with each failure in a row. What is left of the
old server ends first: a new scheduler must not meet the workers of the old one.

Usage: ``python -m nightjar.local.supervise [OPTION …] COMMAND …`` with a pipe as standard input.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

GRACE_SECONDS = 4.0
RECOVERED_SECONDS = 60.0
"""A server that was up for this long has recovered: its earlier failures no longer count."""
MAX_PAUSE_SECONDS = 30.0
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


def pause_before(failures: int) -> float:
    """Seconds to wait before a server is started again after ``failures`` in a row."""
    return float(min(2.0 ** (failures - 1), MAX_PAUSE_SECONDS))


class Supervisor:
    """Keeps one server.

    Args:
        command: Starts the server.
        restarts: How often in a row the server is started again before the supervisor gives up.
        listener: Descriptor of a listening socket that becomes the server's standard input, as inetd does it.
        events: Descriptor that takes one line for each failure.
        grace_seconds: How long what is below has to end by itself.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        restarts: int = 0,
        listener: int | None = None,
        events: int | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._command = command
        self._restarts = restarts
        self._stdin: int = subprocess.DEVNULL if listener is None else listener
        self._events = events
        self._grace_seconds = grace_seconds
        self._asked = False

    def run(self) -> int:
        """Keep the server until SIGTERM comes, standard input closes or it failed too often; leave nothing below.

        Returns:
            The server's last exit status; 0 when the supervisor was asked to end.
        """
        become_subreaper()
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        failures = 0
        while True:
            started = time.monotonic()
            status = self._run_once()
            end_descendants(grace_seconds=self._grace_seconds)
            _reap()
            if self._asked:
                return 0
            seconds = time.monotonic() - started
            failures = 1 if seconds > RECOVERED_SECONDS else failures + 1
            if failures > self._restarts:
                return status if status >= 0 else 128 - status
            pause = pause_before(failures)
            self._report(f"ended after {seconds:.0f} s ({describe_status(status)}) and starts again in {pause:.0f} s")
            self._wait(pause)
            if self._asked:
                return 0

    def _run_once(self) -> int:
        """Start the server and wait for its end; return its exit status, negative for a signal."""
        server = subprocess.Popen(self._command, stdin=self._stdin)
        while not self._asked:
            ended = _reap()
            if server.pid in ended:
                # Popen never waits for it: the status is known here.
                server.returncode = ended[server.pid]
                return server.returncode
            self._wait(5)
        server.returncode = 0
        return 0

    def _wait(self, seconds: float) -> None:
        """Sleep until a signal comes, the lifeline is cut, or ``seconds`` have passed."""
        ready, _, _ = select.select([self._woken, sys.stdin], [], [], seconds)
        signals = os.read(self._woken, 1024) if self._woken in ready else b""
        self._asked |= sys.stdin in ready or signal.SIGTERM in signals or signal.SIGINT in signals

    def _report(self, line: str) -> None:
        print(f"[supervisor] the server {line}", flush=True)
        if self._events is not None:
            with contextlib.suppress(BrokenPipeError):  # the parent is gone: the lifeline says so as well
                os.write(self._events, f"{line}\n".encode())


def describe_status(status: int) -> str:
    """An exit status in words: ``killed by SIGKILL`` or ``exit status 1``."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _reap() -> dict[int, int]:
    """Wait for every child that has ended, adopted ones included; return their exit statuses."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    return ended


def main(arguments: Sequence[str]) -> int:
    """Keep the server that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m nightjar.local.supervise")
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--listener", type=int)
    parser.add_argument("--events", type=int)
    parser.add_argument("--remove", help="folder that is removed at the end")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    os.umask(0o077)  # what servers and tasks write is for its owner alone
    try:
        return Supervisor(
            options.command, restarts=options.restarts, listener=options.listener, events=options.events
        ).run()
    finally:
        if options.remove:
            shutil.rmtree(options.remove, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
