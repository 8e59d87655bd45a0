"""The training DAG of a use case that selects and tunes: its shape, and its mapped task run by real workers."""

from __future__ import annotations

import importlib.util
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.serialization.serialized_objects import DagSerialization

from nightjar.contracts.job import JobResult
from nightjar.contracts.training import Boosting, IntRange, Selection, Tuning
from nightjar.contracts.use_case import UseCase
from nightjar.training.study import EngineStudy
from nightjar.training.training_set import CHOOSE_TASK, TrainingSet, training_set_uri
from nightjar_airflow.dags import build_training_dag
from nightjar_airflow.operators.training_program import TrainingProgramOperator
from use_cases.flight_delay.use_case import USE_CASE

ENGINE = Boosting(
    params={"max_depth": 3}, num_rounds=30, early_stopping_rounds=None, space={"max_depth": IntRange(2, 6)}
)
TUNING = Tuning(trials=4, workers=2, folds=2)
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
def test_only_what_is_declared_is_done(training: dict[str, Any], stages: list[str]) -> None:
    assert path(build_training_dag(use_case(**training), doc_md="# x")) == [*stages, *AFTER]


def test_tune_is_mapped_over_its_workers_as_the_scheduler_sees_it() -> None:
    dag = build_training_dag(use_case(tuning=Tuning(workers=3)), doc_md="# x")
    (mapped,) = [task for task in DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks if task.is_mapped]
    assert mapped.task_id == "tune"
    assert mapped.expand_input.get_parse_time_mapped_ti_count() == 3
    assert (mapped.retries, mapped.owner) == (2, USE_CASE.owner)


@pytest.fixture
def frozen(lake: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake whose run ``r 1`` has frozen a training set that is to be tuned, on a machine of its own."""
    helpers = _small_lake()
    for i in range(helpers.DAYS):
        helpers.write_day(lake, helpers.USE_CASE, helpers.FIRST_DAY + helpers.timedelta(days=i))
    run = helpers.Run(Path(lake), "r 1")
    training_set = run.freeze()
    recipe = replace(training_set.recipe, engines=(ENGINE,), tuning=TUNING)
    Path(training_set_uri(run.spec("tune"))).write_text(replace(training_set, recipe=recipe).to_json())
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW_CONN_TRAINING_DEFAULT", '{"conn_type": "local"}')
    return str(run.spec("train").run_dir)


@pytest.mark.e2e
def test_the_mapped_tasks_of_a_run_share_its_trials(frozen: str) -> None:
    dag = build_training_dag(use_case(tuning=TUNING), doc_md="# x")
    mapped = dag.get_task("tune")
    assert isinstance(mapped, MappedOperator)
    operators = [mapped.unmap(values) for values in mapped.expand_input.value]  # type: ignore[union-attr]
    assert all(isinstance(operator, TrainingProgramOperator) for operator in operators)
    with ThreadPoolExecutor() as pool:
        summaries = list(pool.map(lambda index: operators[index].execute(_context("tune", index)), range(2)))
    assert sum(summary["metrics"]["trials"] for summary in summaries) == TUNING.trials
    specs = [_spec(frozen, f"tune-{index}") for index in range(2)]
    assert [spec.map_index for spec in specs] == [0, 1]
    assert {spec.threads_per_rank for spec in specs} == {max(1, len(os.sched_getaffinity(0)) // 2)}
    for index, spec in enumerate(specs):
        result = JobResult.from_json(Path(frozen, f"tune-{index}", "result.json").read_text())
        assert result.spec_fingerprint == spec.fingerprint
    training_set = TrainingSet.before(specs[0], CHOOSE_TASK)
    assert sum(EngineStudy(specs[0], training_set, ENGINE).counts().values()) == TUNING.trials

    chosen = dag.get_task("choose_params").execute(_context("choose_params", -1))
    assert chosen["metrics"]["boosting_best_auc"] >= chosen["metrics"]["boosting_declared_auc"]
    assert TrainingSet.of_run(specs[0]).recipe.tuning is None


def _spec(run_dir: str, folder: str) -> Any:
    from nightjar.contracts.job import JobSpec

    return JobSpec.from_json(Path(run_dir, folder, "spec.json").read_text())


def _context(task_id: str, map_index: int) -> Any:
    """What Airflow hands to a task of the run ``r 1``."""
    run = SimpleNamespace(
        dag_id="flight_delay_training",
        run_id="r 1",
        data_interval_start=datetime(2013, 4, 1, 6, tzinfo=UTC),
        run_after=datetime(2013, 4, 2, 6, tzinfo=UTC),
        conf=None,
    )
    params = {"interval_start": None, "interval_end": None, "force": False}
    ti = SimpleNamespace(task_id=task_id, map_index=map_index, try_number=1, max_tries=2)
    return {"dag_run": run, "dag": SimpleNamespace(params=params), "params": params, "ti": ti, "outlet_events": {}}


def _small_lake() -> ModuleType:
    """The helpers of the training programs' tests."""
    helpers = Path(__file__).resolve().parents[1] / "nightjar_jobs" / "conftest.py"
    spec = importlib.util.spec_from_file_location("small_lake", helpers)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["small_lake"] = module
    spec.loader.exec_module(module)
    return module
