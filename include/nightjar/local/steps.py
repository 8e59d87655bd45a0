"""Set-up steps: printed with their duration, with output in a log that is shown on failure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class SetupError(Exception):
    """Set-up cannot continue; the message is one line for the user."""


@contextmanager
def setup_step(title: str) -> Iterator[None]:
    """Print ``title`` at the start, and with its duration at the end."""
    started = time.monotonic()
    print(f"[setup] {title} ...", flush=True)
    yield
    print(f"[setup] {title}: {time.monotonic() - started:.1f} s", flush=True)


def run_logged(command: Sequence[str | Path], log: Path, environ: Mapping[str, str] | None = None) -> None:
    """Run ``command``, and append its output to ``log``.

    Raises:
        SetupError: when it fails; the last lines of its output are printed.
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
            f"`{Path(command[0]).name} {command[1]}` failed (status {done.returncode}); the full output is in {log}"
        )
