"""The training DAG with selection and tuning: its shape, and its mapped task in a real Airflow."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from kubernetes_double import eventually
from tests.nightjar_jobs import conftest as small_lake

from nightjar.declaration.engines import Boosting
from nightjar.declaration.spaces import IntRange
from nightjar.declaration.training import Selection, Tuning
from nightjar.declaration.use_case import UseCase
from nightjar.protocol.documents import load_json
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import parse_result
from nightjar.training.data.training_set import CHOOSE_TASK, SELECT_TASK, TrainingSet
from nightjar.training.model import TabularModel
from nightjar.training.tuning.study import EngineStudy
from nightjar_airflow.dags import build_training_dag
from use_cases import flight_delay
from use_cases.flight_delay.use_case import USE_CASE

ENGINE = Boosting(
    params={"max_depth": 3}, num_rounds=30, early_stopping_rounds=None, space={"max_depth": IntRange(2, 6)}
)
TUNING = Tuning(trials=4, workers=2, folds=2)
RUN_SECONDS = 240
DAG_ID = "flight_delay_training"
DAG_FILE = """
from nightjar_airflow.dags import build_training_dag
from use_cases.flight_delay.use_case import USE_CASE

dag = build_training_dag(USE_CASE, doc_md="# Training")
"""
DECLARED = """

from dataclasses import replace

from nightjar.declaration.spaces import IntRange
from nightjar.declaration.training import Selection, Tuning

_ENGINE = Boosting(
    params={"max_depth": 3}, num_rounds=30, early_stopping_rounds=None, space={"max_depth": IntRange(2, 6)}
)
_TRAINING = replace(
    USE_CASE.training,
    engines=(_ENGINE,),
    selection=Selection(probes=1, repeats=1),
    tuning=Tuning(trials=4, workers=2, folds=2),
)
USE_CASE = replace(USE_CASE, training=_TRAINING)
"""
AFTER = ["train", "evaluate", "register", "gate", "promote"]


def use_case(**training: Any) -> UseCase:
    return replace(USE_CASE, training=replace(USE_CASE.training, engines=(ENGINE,), **training))


def path(dag: DAG) -> list[str]:
    """The tasks from the frozen set on, in their order."""
    tasks = ["freeze_training_set"]
    while following := dag.get_task(tasks[-1]).downstream_task_ids - {"stop_spark"}:
        tasks += following
    return tasks[1:]


@pytest.mark.parametrize(
    ("training", "stages"),
    [
        ({}, []),
        ({"selection": Selection()}, ["select_features"]),
        ({"tuning": TUNING}, ["tune", "choose_params"]),
        ({"selection": Selection(), "tuning": TUNING}, ["select_features", "tune", "choose_params"]),
    ],
)
def test_only_declared_steps_are_in_the_dag(training: dict[str, Any], stages: list[str]) -> None:
    assert path(build_training_dag(use_case(**training), doc_md="# x")) == [*stages, *AFTER]


def test_tune_is_mapped_over_its_workers_as_the_scheduler_sees_it() -> None:
    dag = build_training_dag(use_case(tuning=Tuning(workers=3)), doc_md="# x")
    (mapped,) = [task for task in DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks if task.is_mapped]
    assert mapped.task_id == "tune"
    assert mapped.expand_input.get_parse_time_mapped_ti_count() == 3
    assert (mapped.retries, mapped.owner) == (2, USE_CASE.owner)


@pytest.fixture
def run_dir(lake: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the run ``r-1`` will leave its results, in a lake with features and labels."""
    for i in range(small_lake.DAYS):
        small_lake.write_day(lake, small_lake.USE_CASE, small_lake.FIRST_DAY + small_lake.timedelta(days=i))
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return Path(lake, "_runs", DAG_ID, "r-1")


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_features_are_selected_and_trials_shared_in_airflow(
    run_dir: Path, lake: str, tmp_path: Path, standalone: Any
) -> None:
    use_cases = shutil.copytree(Path(flight_delay.__file__).parents[1], tmp_path / "declared" / "use_cases")
    with (use_cases / "flight_delay" / "use_case.py").open("a") as file:
        file.write(DECLARED)
    environ = {
        "NIGHTJAR_LAKE": lake,
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "PYTHONPATH": str(use_cases.parent),
    }
    with standalone(DAG_ID, DAG_FILE, environ) as api:

        def states(*names: str) -> list[str | None]:
            return [task.state for task in api.tasks(DAG_ID, "r-1") if task.task_id in names]

        api.trigger(DAG_ID, "r-1", conf={})
        over = ("success", "failed", "up_for_retry", "upstream_failed")
        eventually(lambda: states("train")[0] in over, RUN_SECONDS)
        assert states("freeze_training_set", "select_features", "choose_params", "train") == ["success"] * 4
        assert states("tune") == ["success"] * 2
    specs = [load_json(JobSpec, Path(run_dir, f"tune~{index}", "spec.json").read_text()) for index in range(2)]
    assert [spec.map_index for spec in specs] == [0, 1]
    assert {spec.threads_per_rank for spec in specs} == {max(1, len(os.sched_getaffinity(0)) // 2)}
    results = [_result(run_dir, f"tune~{index}") for index in range(2)]
    assert [result.spec_fingerprint for result in results] == [spec.fingerprint for spec in specs]
    assert sum(result.metrics["trials"] for result in results) == TUNING.trials
    training_set = TrainingSet.input_of(specs[0], CHOOSE_TASK)
    assert sum(EngineStudy(specs[0], training_set, ENGINE).counts().values()) == TUNING.trials
    chosen = _result(run_dir, CHOOSE_TASK)
    assert chosen.metrics["boosting_best_log_loss"] <= chosen.metrics["boosting_declared_log_loss"]

    trained = TabularModel.load(_result(run_dir, "train").model)
    assert trained.card.members[0].params["max_depth"] == chosen.params["boosting"]["max_depth"]
    dropped = _result(run_dir, SELECT_TASK).dropped
    kept = [feature.name for feature in USE_CASE.features.columns if feature.name not in dropped]
    assert dropped
    assert [feature.name for feature in trained.card.features] == kept


def _result(run_dir: Path, folder: str) -> JobResult:
    return parse_result(Path(run_dir, folder, "result.json").read_text())
