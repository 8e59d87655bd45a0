"""Start the ranks of a program on this machine as one process group. Standard library only."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from nightjar.protocol.errors import NightjarError, TrainingError
from nightjar.training.distributed.rendezvous import SECRET

LIFELINE = "NIGHTJAR_LIFELINE"
"""Environment variable; ``stdin`` means that the rank must exit when its standard input closes."""
EXIT_FAILED = 1
"""A rank failed without writing a result."""
EXIT_REPORTED = 3
"""The program failed; rank 0 has written the failed result and the ledger event."""
EXIT_TERMINATED = 143
"""A rank received SIGTERM: an eviction, a drain, or a cancelled task."""
TAIL_LINES = 40
# Time for the other ranks to notice the first failure, report it and exit.
GRACE_SECONDS = 8.0
# Time after SIGTERM to reach the next checkpoint (see the module termination) and exit.
STOP_SECONDS = 8.0
# Pauses between two polls of running ranks grow from the first to the last: each is about 5 % of the time so far.
POLL_SECONDS = 0.01
MAX_POLL_SECONDS = 0.5
POLL_GROWTH = 1.05


@dataclass
class _Rank:
    process: subprocess.Popen[str]
    reader: threading.Thread
    tail: deque[str]


@dataclass(kw_only=True)
class LocalRanks:
    """The ranks of one program on this machine.

    They share a process group, separate from the caller's. When one rank fails or :meth:`stop` is called, all are
    terminated. When the caller dies, their standard input closes and they exit.

    Attributes:
        program: Module of ``nightjar_jobs``, e.g. ``train``.
        spec_uri: URI of the JobSpec.
        world_size: Number of ranks.
        on_line: Receives each line of rank 0.
        environ: Environment of the ranks; the launch contract is added.
        threads_per_rank: Value of ``OMP_NUM_THREADS``.
    """

    program: str
    spec_uri: str
    world_size: int
    on_line: Callable[[str], None] = print
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    threads_per_rank: int = 1
    _ranks: list[_Rank] = field(default_factory=list, init=False)
    _stopped: bool = field(default=False, init=False)

    def start(self) -> None:
        """Start every rank without waiting."""
        port, secret = free_port(), secrets.token_hex(32)
        for rank in range(self.world_size):
            process = subprocess.Popen(
                [sys.executable, "-m", f"nightjar_jobs.{self.program}", "--spec", self.spec_uri],
                env=self._environment(rank, port, secret),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # rank 0 is not reaped before all have started, so its group exists
                process_group=self._ranks[0].process.pid if self._ranks else 0,
            )
            tail: deque[str] = deque(maxlen=TAIL_LINES)
            reader = threading.Thread(target=self._read, args=(rank, process.stdout, tail), daemon=True)
            reader.start()
            self._ranks.append(_Rank(process, reader, tail))

    def wait(self) -> None:
        """Wait until all ranks have ended and ``result.json`` is written.

        When a rank fails, the others have :data:`GRACE_SECONDS` to report it, then all are killed. If rank 0 could not
        report, the failed result and the ledger event are written on its behalf.

        Raises:
            TrainingError: when :meth:`stop` was called, or when no result could be written.
        """
        codes = self._wait_for_first_failure()
        failed = any(codes)
        if failed and not self._stopped:
            self._await_exit(GRACE_SECONDS)
        reported = self._ranks[0].process.poll() == EXIT_REPORTED
        self._end()
        if self._stopped:
            raise TrainingError("the program was stopped", where=self.program, fix="clear the task to start again")
        if failed:
            self._print_tails(codes)
        if failed and not reported:
            self._report(self._error(codes))

    def stop(self) -> None:
        """Terminate all ranks; :meth:`wait` then raises. Safe to call at any time, also from a signal handler."""
        self._stopped = True
        self._kill(signal.SIGTERM)

    def tail(self, rank: int) -> list[str]:
        """Return the last lines that ``rank`` printed."""
        return list(self._ranks[rank].tail)

    def _environment(self, rank: int, port: int, secret: str) -> dict[str, str]:
        return {
            **self.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(self.world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            SECRET: secret,
            "OMP_NUM_THREADS": str(self.threads_per_rank),
            "PYTHONUNBUFFERED": "1",
            LIFELINE: "stdin",
        }

    def _read(self, rank: int, lines: IO[str] | None, tail: deque[str]) -> None:
        for line in lines or ():
            tail.append(line.rstrip("\n"))
            if rank == 0:
                self.on_line(tail[-1])

    def _wait_for_first_failure(self) -> list[int | None]:
        """Return the exit codes once all ranks have ended or one has failed."""
        pause = POLL_SECONDS
        while True:
            codes = [rank.process.poll() for rank in self._ranks]
            if self._stopped or any(codes) or None not in codes:
                return codes
            time.sleep(pause)
            pause = min(pause * POLL_GROWTH, MAX_POLL_SECONDS)

    def _await_exit(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(rank.process.poll() is None for rank in self._ranks):
            time.sleep(POLL_SECONDS)

    def _end(self) -> None:
        """Kill and reap the whole process group, with all processes that the ranks started."""
        self._kill(signal.SIGTERM)
        self._await_exit(STOP_SECONDS)
        self._kill(signal.SIGKILL)
        for rank in self._ranks:
            rank.process.wait()
            rank.reader.join(timeout=2.0)
            for pipe in (rank.process.stdin, rank.process.stdout):
                if pipe is not None and not rank.reader.is_alive():
                    pipe.close()

    def _kill(self, number: signal.Signals) -> None:
        if not self._ranks:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._ranks[0].process.pid, number)

    def _error(self, codes: list[int | None]) -> TrainingError:
        """Return the error of the rank that failed first, with its last line."""
        failed = [rank for rank, code in enumerate(codes) if code]
        # prefer a killed rank: ranks that only noticed the loss have an exit code
        rank = min(failed, key=lambda r: (codes[r] or 0) > 0)
        code = codes[rank] or 0
        lines = [line for line in self._ranks[rank].tail if line.strip()]
        name = self.program if self.world_size == 1 else f"rank {rank} of {self.world_size}"
        last_line = f"; last line: {lines[-1][:500]}" if lines else ""
        return TrainingError(
            f"{name} {_ending(code)}{last_line}",
            where=f"nightjar_jobs.{self.program}, rank {rank}",
            how_many=len(failed),
            fix="read the lines of that rank above (SIGKILL is most often lack of memory), then clear the task",
        )

    def _print_tails(self, codes: list[int | None]) -> None:
        """Print the last lines of the failed ranks other than rank 0, whose lines are shown already."""
        for rank, code in enumerate(codes):
            if rank and code:
                for line in self._ranks[rank].tail:
                    self.on_line(f"[rank {rank}] {line}")
                self.on_line(f"rank {rank} {_ending(code)}")

    def _report(self, error: TrainingError) -> None:
        self.on_line(f"ERROR {error}")
        report_failure(self.spec_uri, error, self.environ)


def report_failure(spec_uri: str, error: NightjarError, environ: Mapping[str, str]) -> None:
    """Write the failed result and the ledger event on behalf of a rank 0 that could not.

    Raises:
        NightjarError: ``error`` itself, when they could not be written.
    """
    arguments = {"spec": spec_uri, "kind": error.kind, "what": error.what, "where": error.where, "fix": error.fix}
    written = subprocess.run(
        [
            sys.executable,
            "-m",
            "nightjar_jobs.report_failure",
            *(f"--{name}={value}" for name, value in arguments.items()),
        ],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if written.returncode:
        raise error


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"


def free_port() -> int:
    """Return a TCP port that is free on this machine now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
