"""A small lake with features and labels, a run that has frozen its training set, and programs started as users do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.nightjar_jobs.nights import NIGHT, Nights
from tests.program_results import neutral_result

from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import delta, files
from nightjar.lake.lake import Lake
from nightjar.monitoring.profiles.profile import ProfiledColumn
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import FreezeTrainingSetResult, parse_result
from nightjar.registry import models
from nightjar.runner import run_program
from nightjar.training.data.splits import split_days
from nightjar.training.data.training_set import DayCount, TrainingSet, night_of
from nightjar.training.distributed.launch import LocalRanks, free_port
from nightjar.training.recipe import Recipe
from nightjar_jobs import evaluate, register

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

USE_CASE = load_use_case("flight_delay")
FIRST_DAY = date(2013, 1, 2)
DAYS = 34
ROWS_A_DAY = 150


def _values(rng: np.random.Generator, schema: TableSchema, day: date, rows: int) -> dict[str, Any]:
    """Random columns of a declared table; the key is unique by its integer column."""
    columns: dict[str, Any] = {}
    for column in schema.columns:
        columns[column.name] = {
            "string": lambda: rng.choice(["AA", "B6", "DL", "UA"], rows).tolist(),
            "int": lambda: list(range(rows)),
            "long": lambda: list(range(rows)),
            "double": lambda: rng.normal(size=rows).tolist(),
            "boolean": lambda: [True] * rows,
            "date": lambda: [day] * rows,
            "timestamp": lambda: [datetime.combine(day, time(4), UTC)] * rows,
        }[column.type]()
    return columns


def write_day(lake: str, use_case: UseCase, day: date, *, rows: int = ROWS_A_DAY, seed: int = 0) -> None:
    """Append the features of the night before ``day`` and the labels of ``day``."""
    rng = np.random.default_rng([seed, day.toordinal()])
    features = _values(rng, use_case.feature_table, day, rows)
    features["ds"] = [night_of(day, use_case.target.label_horizon_nights)] * rows
    numeric = [f.name for f in use_case.features.columns if f.kind == "numeric"]
    strength = 3.0 * np.abs(np.asarray(features[numeric[0]])) - 3.0  # no straight line fits it
    features[numeric[0]] = [None if i % 17 == 0 else v for i, v in enumerate(features[numeric[0]])]
    features[numeric[1]][3:6] = [float("inf"), -1e39, float("nan")]  # missing, as for every model
    labels = {name: features[name] for name in use_case.key}
    labels["ds"] = [day] * rows
    late = (rng.random(rows) < 1 / (1 + np.exp(-strength))).astype(float)
    labels["label"] = [None if i % 31 == 0 else float(v) for i, v in enumerate(late)]
    labels["outcome"] = ["arrived"] * rows
    labels["known_at"] = [datetime.combine(day, time(4), UTC)] * rows
    for schema, columns in ((use_case.feature_table, features), (use_case.label_table, labels)):
        arrow = delta.arrow_schema(schema)
        table = pa.Table.from_pydict({name: columns[name] for name in arrow.names}, schema=arrow)
        write_deltalake(f"{lake}/{schema.name}", table, mode="append", partition_by=["ds"])


def freeze(spec: JobSpec, use_case: UseCase) -> TrainingSet:
    """What ``freeze_training_set`` leaves behind, computed with Arrow."""
    features, labels = (Lake(spec.lake).table(t).open() for t in (use_case.feature_table, use_case.label_table))
    table = labels.to_pyarrow_table(columns=["ds", "label"])
    known = table.filter(table["label"].is_valid()).group_by("ds").aggregate([("label", "count"), ("label", "sum")])
    counts = [
        DayCount(day=row["ds"], rows=row["label_count"], labels={"positives": int(row["label_sum"])})
        for row in known.to_pylist()
    ]
    splits = split_days(counts, use_case, where="test")
    frame = features.to_pyarrow_table()
    training_set = TrainingSet(
        use_case=use_case.name,
        tables={use_case.feature_table.name: features.version(), use_case.label_table.name: labels.version()},
        key=use_case.key,
        features=use_case.features.columns,
        categories={
            f.name: tuple(sorted(set(frame[f.name].to_pylist()) - {None}))
            for f in use_case.features.columns
            if f.kind == "categorical"
        },
        recipe=Recipe.of(use_case),
        label_horizon_nights=use_case.target.label_horizon_nights,
        **splits,
    )
    columns = [ProfiledColumn(f.name, f.kind) for f in use_case.features.columns]
    profile = profile_arrays({f.name: frame[f.name].to_pylist() for f in use_case.features.columns}, columns)
    folder = f"{spec.run_dir}/freeze_training_set"
    files.write_text(f"{folder}/training_set.json", dump_json(training_set))
    files.write_text(f"{folder}/profile.json", profile.to_json())
    result = neutral_result(FreezeTrainingSetResult, inputs=training_set.tables)
    files.write_text(f"{folder}/result.json", dump_json(result))
    return training_set


class Run:
    """One run of the training DAG on a lake."""

    def __init__(self, lake: Path, run_id: str, *, world_size: int = 2, threads: int = 1, **params: object) -> None:
        self.lake = str(lake)
        self.run_id = run_id
        self.world_size = world_size
        self.threads = threads
        self.params = params

    def spec(self, program: str, map_index: int | None = None) -> JobSpec:
        return JobSpec(
            program=program,
            use_case=USE_CASE.name,
            first_night=night_of(FIRST_DAY, USE_CASE.target.label_horizon_nights),
            last_night=FIRST_DAY + timedelta(days=DAYS - 1),
            dag_id="flight_delay_training",
            run_id=self.run_id,
            task_id=program,
            map_index=map_index,
            lake=self.lake,
            params=self.params,
            world_size=self.world_size if program == "train" else 1,
            threads_per_rank=self.threads,
        )

    def adopt(self, other: Run, *tasks: str) -> None:
        """Take over what another run's tasks left, as if this run had done them."""
        for task in tasks:
            there, here = (f"{run.spec(task).run_dir}/{task}" for run in (other, self))
            shutil.copytree(there, here)

    def change(self, task: str, **metrics: float) -> None:
        """Put other figures into the result of ``task``."""
        result = self.result(task)
        changed = replace(result, metrics={**result.metrics, **metrics})
        files.write_text(f"{self.spec(task).output}/result.json", dump_json(changed))

    def change_values(self, task: str, **values: Any) -> None:
        """Put other values into the result of ``task``."""
        result = self.result(task)
        changed = replace(result, **values)
        files.write_text(f"{self.spec(task).output}/result.json", dump_json(changed))

    def freeze(self) -> TrainingSet:
        return freeze(self.spec("freeze_training_set"), USE_CASE)

    def launch(
        self, program: str, environ: dict[str, str] | None = None, map_index: int | None = None
    ) -> SimpleNamespace:
        """Start ``program`` in processes; ``.ranks`` and ``.lines`` of what is returned are live."""
        spec = self.spec(program, map_index)
        files.write_text(f"{spec.output}/spec.json", dump_json(spec))
        lines: list[str] = []
        ranks = LocalRanks(
            program=program,
            spec_uri=f"{spec.output}/spec.json",
            world_size=spec.world_size,
            threads_per_rank=spec.threads_per_rank,
            on_line=lines.append,
            environ={**os.environ, "NIGHTJAR_LAKE": self.lake, **(environ or {})},
        )
        ranks.start()
        return SimpleNamespace(ranks=ranks, lines=lines, spec=spec)

    def __call__(self, program: str, environ: dict[str, str] | None = None) -> JobResult:
        """Run ``program`` to its end."""
        launched = self.launch(program, environ)
        launched.ranks.wait()
        return self.result(program)

    def result(self, program: str) -> JobResult:
        return parse_result(files.read_text(f"{self.spec(program).output}/result.json"))

    def events(self, event: str) -> list[dict[str, Any]]:
        from nightjar.lake import ledger

        rows: list[dict[str, Any]] = ledger.read(Lake(self.lake), event=event, run_id=self.run_id).to_pylist()
        return [{**row, "details": json.loads(row["details"])} for row in rows]


@pytest.fixture(scope="session")
def training_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with 34 label days of 150 flights each."""
    root = tmp_path_factory.mktemp("lake")
    for i in range(DAYS):
        write_day(str(root), USE_CASE, FIRST_DAY + timedelta(days=i))
    return root


@pytest.fixture(scope="session")
def trained(training_lake: Path) -> Run:
    """A run that has frozen and trained."""
    run = Run(training_lake, "trained")
    run.freeze()
    assert run("train").status == "succeeded", run.result("train").error
    return run


@pytest.fixture
def new_run(training_lake: Path) -> Callable[..., Run]:
    """Makes runs on the shared lake."""
    return lambda run_id, **params: Run(training_lake, run_id, **params)


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on SQLite."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"http://127.0.0.1:{free_port()}"
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", uri.rsplit(":", 1)[1], "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
    try:
        _wait_until_healthy(uri, server, folder / "server.log")
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_until_healthy(uri: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + 180
    while monotonic() < deadline and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{uri}/health", timeout=5):
            return
        sleep(0.5)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture
def registry(mlflow_uri: str, training_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The registry without any model, and an empty cache; programs and the test itself see it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    monkeypatch.setenv("NIGHTJAR_LAKE", str(training_lake))
    monkeypatch.setenv("NIGHTJAR_GIT_COMMIT", "c0ffee")
    monkeypatch.setenv("NIGHTJAR_MODEL_CACHE", str(tmp_path / "cache"))
    request = urllib.request.Request(
        f"{mlflow_uri}/api/2.0/mlflow/registered-models/delete",
        data=json.dumps({"name": USE_CASE.name}).encode(),
        headers={"Content-Type": "application/json"},
        method="DELETE",
    )
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10):
        pass
    return mlflow_uri


@pytest.fixture
def nights(spark: SparkSession, lake: str, registry: str) -> Nights:
    made = Nights(spark, lake)
    made.features(NIGHT)
    return made


@pytest.fixture
def versions(trained: Any, new_run: Callable[..., Any], registry: str, request: pytest.FixtureRequest) -> list[str]:
    """Two registered versions of the same model, of which the first is champion."""
    found = []
    first, second = (new_run(f"{request.node.name}-{name}") for name in ("first", "second"))
    for run in (first, second):
        run.adopt(trained, "freeze_training_set", "train")
        trained_here = run.result("train")
        other = replace(trained_here, spec_fingerprint=f"{run.run_id}{trained_here.spec_fingerprint}")
        Path(f"{run.spec('train').output}/result.json").write_text(dump_json(other))
    run_program(evaluate.run, first.spec("evaluate"))
    second.adopt(first, "evaluate")
    for run in (first, second):
        found.append(str(run_program(register.run, run.spec("register")).model_version))
    assert len(set(found)) == 2
    models.set_champion(models.resolve(USE_CASE.name, found[0]))
    return found


@pytest.fixture
def start_run(
    trained: Any, new_run: Callable[..., Any], registry: str, request: pytest.FixtureRequest
) -> Callable[[str], Any]:
    """Makes runs that have the trained model, each with its own run id."""

    def make(name: str) -> Any:
        run = new_run(f"{request.node.name}-{name}")
        run.adopt(trained, "freeze_training_set", "train")
        return run

    return make
