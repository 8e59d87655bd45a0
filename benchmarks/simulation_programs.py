"""The programs of nights and trainings, run one after another in one Spark session, without Airflow."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from nightjar.declaration.use_case import UseCase
from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.lake.results import read_result
from nightjar.local import server_environment
from nightjar.local.paths import Paths
from nightjar.local.ports import HOST, Ports, listen, port_of
from nightjar.local.programs import mlflow_command
from nightjar.local.servers import answers
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.programs import SPARK_PROGRAMS
from nightjar.runner import run_program
from nightjar.training.distributed.launch import LocalRanks
from nightjar_spark.session import build_session
from nightjar_spark.worker_errors import from_workers

START_SECONDS = 120
OF_TRAININGS = ("freeze_training_set", "train", "evaluate", "register", "gate", "promote")
"""Programs of a training's DAG run; the others are of a night's."""


class Programs:
    """Runs programs by name and keeps what each took.

    Args:
        spark: The one session.
        lake: The simulation's own lake.
        use_case: What is simulated.
    """

    def __init__(self, spark: SparkSession, lake: Lake, use_case: UseCase) -> None:
        self._spark, self._lake, self._use_case = spark, lake, use_case
        self.seconds: dict[str, float] = {}

    def __call__(self, program: str, first: date, last: date, *, run_id: str, **params: Any) -> JobResult:
        """Run one program for the nights ``first`` to ``last``.

        Raises:
            SystemExit: with its one line of error, when it fails; a later start goes on from there.
        """
        began = time.monotonic()
        training = program in OF_TRAININGS
        spec = JobSpec(
            program=program,
            use_case=self._use_case.name,
            first_night=first,
            last_night=last,
            dag_id=f"{self._use_case.name}_{'training' if training else 'nightly'}",
            run_id=run_id,
            task_id=program,
            lake=self._lake.uri,
            params={"interval_given": True, "force": False, **params},
            world_size=self._use_case.training.world_size if program == "train" else 1,
            threads_per_rank=1 if program == "train" else server_environment.cores(),
        )
        files.write_text(f"{spec.output}/spec.json", dump_json(spec))
        result = self._in_spark(spec) if program in SPARK_PROGRAMS else self._in_ranks(spec)
        self.seconds[program] = self.seconds.get(program, 0.0) + time.monotonic() - began
        if result.status == "failed":
            raise SystemExit(f"{program} of {first} to {last} failed: {result.error}")
        return result

    def _in_spark(self, spec: JobSpec) -> JobResult:
        def program(given: JobSpec) -> JobResult:
            with from_workers():
                result: JobResult = import_module(f"nightjar_spark.{given.program}").run(self._spark, given)
            return result

        return run_program(program, spec)

    def _in_ranks(self, spec: JobSpec) -> JobResult:
        ranks = LocalRanks(
            program=spec.program,
            spec_uri=f"{spec.output}/spec.json",
            world_size=spec.world_size,
            threads_per_rank=spec.threads_per_rank,
            on_line=lambda line: None,
        )
        ranks.start()
        ranks.wait()
        return read_result(f"{spec.output}/result.json")


@contextmanager
def session(paths: Paths, environ: Mapping[str, str]) -> Iterator[SparkSession]:
    """One Spark session on all cores and an MLflow server of the simulation's own, as long as the context lasts."""
    listener = listen(5000)
    ports = Ports(airflow=0, mlflow=port_of(listener))
    os.environ.update(server_environment.tools(paths, environ))
    os.environ.update(
        MLFLOW_TRACKING_URI=ports.mlflow_url,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        NIGHTJAR_LAKE=str(paths.lake),
        NIGHTJAR_MODEL_CACHE=str(paths.var / "models"),
        NIGHTJAR_GIT_COMMIT=server_environment.git_commit(paths.root),
        OMP_NUM_THREADS=str(server_environment.cores()),
        NO_PROXY=HOST,
        no_proxy=HOST,
    )
    paths.mlflow_home.mkdir(parents=True, exist_ok=True)
    paths.logs.mkdir(parents=True, exist_ok=True)
    with (paths.logs / "mlflow.log").open("wb") as log:
        command = mlflow_command(paths, f"sqlite:///{paths.mlflow_home}/mlflow.db")
        server = subprocess.Popen(
            command, stdin=listener.fileno(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait(lambda: answers(f"{ports.mlflow_url}/health"), paths.logs / "mlflow.log")
        jars = ",".join(sorted(str(jar) for jar in paths.jars.glob("*.jar")))
        conf = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": server_environment.cores(),
            "spark.databricks.delta.snapshotPartitions": server_environment.cores(),
        }
        options = " ".join(f"--conf {name}={value}" for name, value in conf.items())
        os.environ["PYSPARK_SUBMIT_ARGS"] = (
            f"--master local[*] --driver-memory 3g --jars {jars} {options} pyspark-shell"
        )
        spark = build_session("nightjar simulation")
        try:
            yield spark
        finally:
            spark.stop()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait(healthy: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not healthy():
        if time.monotonic() > deadline:
            raise SystemExit(f"MLflow did not start within {START_SECONDS} s: read {log}")
        time.sleep(0.5)
