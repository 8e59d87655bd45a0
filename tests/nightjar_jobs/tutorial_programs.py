"""The programs of the tutorial: ``python tutorial_programs.py LAKE FIRST LAST NIGHT``.

A program of its own, since Spark's workers have to import the use case that the tutorial writes.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from importlib import import_module

from nightjar.declaration.use_case import load_use_case
from nightjar.lake import files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.programs import SPARK_PROGRAMS
from nightjar.protocol.results import parse_result
from nightjar.runner import run_program
from nightjar.training.distributed.launch import LocalRanks
from nightjar_spark.session import build_session
from nightjar_spark.worker_errors import from_workers

DATA = ("ingest", "build_features", "validate_features")
TRAINING = ("freeze_training_set", "train", "evaluate", "register", "gate", "promote")
NIGHT = (*DATA, "score", "validate_scores", "publish_scores", "confirm_champion")


def main(lake: str, first: date, last: date, night: date) -> None:
    """Run all programs in order; print the last result of each as one JSON line."""
    use_case = load_use_case("churn")
    spark = build_session("tutorial")
    results: dict[str, JobResult] = {}

    def run(dag: str, programs: tuple[str, ...], since: date, until: date) -> None:
        for program in programs:
            spec = JobSpec(
                program=program, use_case="churn", first_night=since, last_night=until, dag_id=f"churn_{dag}",
                run_id="tutorial", task_id=program, lake=lake, params={"interval_given": dag != "nightly"},
                world_size=use_case.training.world_size if program == "train" else 1,
            )  # fmt: skip
            results[program] = in_spark(spec) if program in SPARK_PROGRAMS else in_ranks(spec)
            assert results[program].status == "succeeded", f"{program}: {results[program].error}"

    def in_spark(spec: JobSpec) -> JobResult:
        def program(given: JobSpec) -> JobResult:
            with from_workers():
                result: JobResult = import_module(f"nightjar_spark.{given.program}").run(spark, given)
            return result

        return run_program(program, spec)

    run("history", DATA, first, last)
    run("training", TRAINING, first, last)
    run("nightly", NIGHT, night, night)
    print(json.dumps({name: json.loads(dump_json(result)) for name, result in results.items()}))
    spark.stop()


def in_ranks(spec: JobSpec) -> JobResult:
    """Run a program of ``nightjar_jobs`` as processes."""
    files.write_text(f"{spec.output}/spec.json", dump_json(spec))
    ranks = LocalRanks(program=spec.program, spec_uri=f"{spec.output}/spec.json", world_size=spec.world_size)
    ranks.start()
    ranks.wait()
    return parse_result(files.read_text(f"{spec.output}/result.json"))


if __name__ == "__main__":
    main(sys.argv[1], *map(date.fromisoformat, sys.argv[2:]))
