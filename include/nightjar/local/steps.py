"""Steps of set-up: each is printed with its seconds, its output kept in a log and shown when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class SetupError(Exception):
    """Set-up cannot go on; the message is one line for the person."""


@contextmanager
def setup_step(what: str) -> Iterator[None]:
    """Print ``what`` when it begins and its seconds when it is over."""
    started = time.monotonic()
    print(f"[setup] {what} ...", flush=True)
    yield
    print(f"[setup] {what}: {time.monotonic() - started:.1f} s", flush=True)


def run_logged(command: Sequence[str | Path], log: Path, environ: Mapping[str, str] | None = None) -> None:
    """Run ``command`` with its output appended to ``log``.

    Raises:
        SetupError: with the last lines of its output when it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab+") as file:
        began = file.seek(0, os.SEEK_END)
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environ)
        file.seek(began)
        output = file.read().decode(errors="replace")
    if done.returncode:
        print("\n".join(output.splitlines()[-20:]), file=sys.stderr)
        raise SetupError(
            f"`{Path(command[0]).name} {command[1]}` failed (status {done.returncode}); all of it is in {log}"
        )
