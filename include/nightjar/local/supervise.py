"""Supervisor of one server; ends all its processes on request or when the parent dies.

Airflow's servers leave children behind on SIGTERM, tasks run in their own process groups, and a Spark application
outlives the task that started it. So each server runs under this small supervisor. Its standard input is a lifeline:
end of file means that the parent has died, even by ``kill -9``. As a child subreaper it adopts every orphan below it,
so a walk of its descendants is complete, and it waits for each, so no zombies remain.

A server that stops unexpectedly is restarted after a pause that doubles with each failure in a row. Remaining processes
of the old server are ended first: a new scheduler must not meet the workers of the old one.

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
"""Uptime after which a server has recovered, and earlier failures no longer count."""
MAX_PAUSE_SECONDS = 30.0
_PR_SET_CHILD_SUBREAPER = 36


def descendants(pid: int, spared: Set[int] = frozenset()) -> list[int]:
    """Return the process ids below ``pid``, nearest first, without those in ``spared`` and their descendants.

    A process that changes its parent meanwhile may be missed: check twice before concluding that none is left.
    """
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    ids: list[int] = []
    front = [pid]
    while front:
        front = [child for parent in front for child in children.get(parent, []) if child not in spared]
        ids += front
    return ids


def _parents() -> Iterator[tuple[int, int]]:
    """Yield each process and its parent, without zombies."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
            if state != "Z":
                yield int(stat.parent.name), int(parent)


def end_descendants(spared: Set[int] = frozenset(), grace_seconds: float = GRACE_SECONDS) -> None:
    """End all processes below this one: SIGTERM, then SIGKILL after ``grace_seconds``.

    Args:
        spared: Processes to leave alone, with all their descendants.
        grace_seconds: Time for a process to end by itself.
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
    """Become the parent of orphaned descendants of this process."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def pause_before(failures: int) -> float:
    """Return the seconds to wait before a restart, after ``failures`` in a row."""
    return float(min(2.0 ** (failures - 1), MAX_PAUSE_SECONDS))


class Supervisor:
    """Runs and restarts one server.

    Args:
        command: Command that starts the server.
        restarts: Maximum restarts in a row.
        listener: Descriptor of a listening socket that becomes the server's standard input, as with inetd.
        events: Descriptor to which one line per failure is written.
        grace_seconds: Time for the server's processes to end by themselves.
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
        self._stopping = False

    def run(self) -> int:
        """Run the server until SIGTERM, the end of standard input or too many failures; leave no process behind.

        Returns:
            The server's last exit status; 0 when the supervisor was asked to stop.
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
            if self._stopping:
                return 0
            seconds = time.monotonic() - started
            failures = 1 if seconds > RECOVERED_SECONDS else failures + 1
            if failures > self._restarts:
                return status if status >= 0 else 128 - status
            pause = pause_before(failures)
            self._report(f"ended after {seconds:.0f} s ({describe_status(status)}) and restarts in {pause:.0f} s")
            self._wait(pause)
            if self._stopping:
                return 0

    def _run_once(self) -> int:
        """Start the server and wait for its end; return its exit status, negative for a signal."""
        server = subprocess.Popen(self._command, stdin=self._stdin)
        while not self._stopping:
            ended = _reap()
            if server.pid in ended:
                # Popen does not wait for it itself: set the status here.
                server.returncode = ended[server.pid]
                return server.returncode
            self._wait(5)
        server.returncode = 0
        return 0

    def _wait(self, seconds: float) -> None:
        """Sleep until a signal arrives, the lifeline closes, or ``seconds`` have passed."""
        ready, _, _ = select.select([self._woken, sys.stdin], [], [], seconds)
        signals = os.read(self._woken, 1024) if self._woken in ready else b""
        self._stopping |= sys.stdin in ready or signal.SIGTERM in signals or signal.SIGINT in signals

    def _report(self, line: str) -> None:
        print(f"[supervisor] the server {line}", flush=True)
        if self._events is not None:
            with contextlib.suppress(BrokenPipeError):  # the parent has died: the lifeline shows it too
                os.write(self._events, f"{line}\n".encode())


def describe_status(status: int) -> str:
    """Describe an exit status: ``killed by SIGKILL`` or ``exit status 1``."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _reap() -> dict[int, int]:
    """Wait for every child that has ended, adopted ones included, and return their exit statuses."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (waited := os.waitpid(-1, os.WNOHANG))[0]:
            ended[waited[0]] = os.waitstatus_to_exitcode(waited[1])
    return ended


def main(arguments: Sequence[str]) -> int:
    """Supervise the server given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m nightjar.local.supervise")
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--listener", type=int)
    parser.add_argument("--events", type=int)
    parser.add_argument("--remove", help="folder that is removed at the end")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    os.umask(0o077)  # files of servers and tasks are readable by their owner only
    try:
        return Supervisor(
            options.command, restarts=options.restarts, listener=options.listener, events=options.events
        ).run()
    finally:
        if options.remove:
            shutil.rmtree(options.remove, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
