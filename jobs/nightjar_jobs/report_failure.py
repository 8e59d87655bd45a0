"""Write the failed result of a program whose rank 0 could not: ``python -m nightjar_jobs.report_failure``."""

from __future__ import annotations

import argparse
import logging
import os

from nightjar.lake.results import read_spec
from nightjar.protocol.errors import error_of_kind
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.runner import run_program


def main() -> None:
    """Read the error from the command line; write the result and the ledger event."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("spec", "kind", "what", "where", "fix"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()

    def fail(spec: JobSpec) -> JobResult:
        raise error_of_kind(arguments.kind, arguments.what, where=arguments.where, fix=arguments.fix)

    run_program(fail, read_spec(arguments.spec))
    os._exit(0)  # as in the runner: threads of libraries must not change the exit code


if __name__ == "__main__":
    main()
