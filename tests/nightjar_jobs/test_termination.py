"""SIGTERM ends a rank soon, after a near checkpoint, without recording a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from nightjar.lake import files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobSpec
from nightjar.training.distributed.launch import EXIT_TERMINATED

HEAD = """
import sys, time
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.job import JobResult
from nightjar.training.distributed import termination
from nightjar_jobs.runner import main

termination.CHECKPOINT_SECONDS = 1.0

def run(spec):
"""
PROGRAMS = {
    "within Python": """
    print("ready", flush=True)
    time.sleep(60)
    """,
    "within a library": """
    import ctypes
    print("ready", flush=True)
    ctypes.CDLL(None).sleep(60)  # the signal may end it early
    raise TrainingError("interrupted", where="a library", fix="none")
    """,
    "with rounds that reach a checkpoint": """
    with termination.rounds():
        print("ready", flush=True)
        while not termination.is_termination_requested():
            time.sleep(0.01)
        print("checkpoint kept", flush=True)
        termination.exit_if_terminating()
    """,
    "with rounds that reach none": """
    with termination.rounds():
        print("ready", flush=True)
        time.sleep(60)
    """,
    "when a peer has gone first": """
    with termination.rounds():
        print("ready", flush=True)
        while not termination.is_termination_requested():
            time.sleep(0.01)
        raise TrainingError("rank 1 died", where="rank 1", fix="none")
    """,
}


@pytest.mark.parametrize("where", PROGRAMS)
def test_sigterm_ends_a_rank_soon_with_its_own_code_and_no_result(where: str, lake: str, tmp_path: Path) -> None:
    night = date(2013, 1, 1)
    spec = JobSpec(
        program="train", use_case="flight_delay", first_night=night, last_night=night, dag_id="d", run_id="r",
        task_id="train", lake=lake,
    )  # fmt: skip
    files.write_text(f"{spec.output}/spec.json", dump_json(spec))
    program = tmp_path / "program.py"
    program.write_text(HEAD + PROGRAMS[where] + "\nmain(run)\n")
    environ = {**os.environ, "RANK": "0"}
    command = [sys.executable, str(program), "--spec", f"{spec.output}/spec.json"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    told = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest = process.stdout.read()
    assert process.wait(20) == EXIT_TERMINATED
    assert time.monotonic() - told < 10
    assert "received SIGTERM; a retry resumes from the last checkpoint" in rest
    assert ("checkpoint kept" in rest) is (where == "with rounds that reach a checkpoint")
    assert not files.exists(f"{spec.output}/result.json")


def test_a_program_that_is_process_1_ends_at_once_while_it_imports() -> None:
    """Process 1 ignores what it does not handle; the package's first lines see to that."""
    code = "import os; os.getpid = lambda: 1; import nightjar_jobs, signal; signal.raise_signal(signal.SIGTERM)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == EXIT_TERMINATED
