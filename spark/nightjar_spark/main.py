"""Entry point of every Spark program: ``spark-submit <program>.py --spec <uri of a JobSpec>``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from pyspark.sql import SparkSession

from nightjar.lake.results import read_spec
from nightjar.logs import TIMED, log_to_stdout
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.runner import run_program
from nightjar_spark.session import build_session
from nightjar_spark.worker_errors import from_workers


def main(run: Callable[[SparkSession, JobSpec], JobResult]) -> None:
    """Run one program in its own session; the exit status is 0 when it succeeds."""
    parser = argparse.ArgumentParser(description=run.__doc__)
    parser.add_argument("--spec", required=True, help="URI of the JobSpec's JSON")
    spec = read_spec(parser.parse_args().spec)
    log_to_stdout(TIMED)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    spark = build_session(f"nightjar {spec.use_case} {spec.program}")

    def program(job: JobSpec) -> JobResult:
        with from_workers():
            return run(spark, job)

    try:
        result = run_program(program, spec)
    finally:
        spark.stop()
    if result.status == "failed":
        sys.exit(result.error)
