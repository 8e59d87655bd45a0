"""Entry point of the programs of ``nightjar_jobs``: reads ``--spec``, writes ``result.json``, prints an error line."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import NoReturn

from nightjar.lake.results import read_spec
from nightjar.logs import PLAIN, log_to_stdout
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import NightjarError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.runner import run_program
from nightjar.training.distributed import termination
from nightjar.training.distributed.launch import EXIT_FAILED, EXIT_REPORTED, LIFELINE

log = logging.getLogger(__name__)

Program = Callable[[JobSpec], JobResult]


def main(program: Program) -> NoReturn:
    """Run ``program`` for the spec of the command line and exit.

    Exit codes: 0 succeeded, 1 failed, 3 failed and reported by rank 0, 143 terminated by SIGTERM.

    Rank 0 writes the result; other ranks only log their errors. The process exits without the interpreter's clean-up:
    after a failed collective, freeing the engine's tracker would crash and hide the message.
    """
    log_to_stdout(PLAIN)
    termination.handle_sigterm()
    hold_lifeline(os.environ)
    parser = argparse.ArgumentParser(description=program.__doc__)
    parser.add_argument("--spec", required=True, help="URI of spec.json in the lake")
    try:
        spec = read_spec(parser.parse_args().spec)
        with reading("the rank", where="RANK", fix="start the program through its launcher"):
            rank = int(os.environ.get("RANK", "0"))
    except NightjarError as error:
        sys.exit(f"ERROR {error}")
    code = run_rank(program, spec, rank=rank)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_rank(program: Program, spec: JobSpec, *, rank: int) -> int:
    """Run ``program`` as ``rank``; return the exit code.

    A terminated rank records no failure.
    """
    if rank == 0:
        result = run_program(program, spec, before_failure=termination.exit_if_terminating)
        if result.status == "failed":
            log.error("ERROR %s", result.error)
        return EXIT_REPORTED if result.status == "failed" else 0
    try:
        program(spec)
    except NightjarError as error:
        termination.exit_if_terminating()
        log.error("ERROR %s", error)
        return EXIT_FAILED
    except Exception:
        termination.exit_if_terminating()
        log.exception("unexpected error on rank %d", rank)
        return EXIT_FAILED
    return 0


def hold_lifeline(environ: Mapping[str, str]) -> None:
    """Kill this process group when standard input closes, which means that the launcher has died."""
    if environ.get(LIFELINE) != "stdin":
        return

    def kill_at_end_of_input() -> None:
        while os.read(0, 4096):
            pass
        os.killpg(os.getpgrp(), 9)

    threading.Thread(target=kill_at_end_of_input, daemon=True).start()
