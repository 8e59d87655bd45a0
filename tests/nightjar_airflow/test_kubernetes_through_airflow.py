"""A real scheduler, worker and triggerer on the Kubernetes path: kill, clear, and a restart of Airflow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes_double import eventually

from nightjar.local.airflow_api import AirflowApi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
STEP_SECONDS = 120
DAG = "on_cluster"
DAG_FILE = """
from dataclasses import replace

from airflow.sdk import DAG

from nightjar.declaration.resources import Resources
from nightjar_airflow.operators.training_program import TrainingProgramOperator
from use_cases.flight_delay.use_case import USE_CASE

use_case = replace(USE_CASE, training=replace(USE_CASE.training, resources=Resources(cpus=1, memory_gib=2)))
with DAG("on_cluster", schedule=None):
    TrainingProgramOperator(use_case=use_case, program="train", world_size=2)
"""
WAITS = """
print("rank", rank, "waits", flush=True)
until("go")
if rank == 0:
    finish(metrics={"validation_auc": 0.75})
"""


@pytest.fixture
def airflow(deployment: Any, standalone: Any) -> Callable[[], Any]:
    """Starts Airflow on the same database each time, with the deployment's training connection."""

    def up() -> Any:
        connection = os.environ["AIRFLOW_CONN_TRAINING_DEFAULT"]  # as it is by now: a test puts its program into it
        environ = {"AIRFLOW_CONN_TRAINING_DEFAULT": connection, "NIGHTJAR_LAKE": deployment.lake}
        return standalone(DAG, DAG_FILE, environ)

    return up


def _deferred(api: AirflowApi, run_id: str) -> Callable[[], bool]:
    return lambda: [task.state for task in api.tasks(DAG, run_id)] == ["deferred"]


def _log(api: AirflowApi, run_id: str, try_number: int = 1) -> str:
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/train/logs/{try_number}"
    return json.dumps(api._call("GET", path, params={"full_content": "true"}))


def test_kill_clear_and_restart(deployment: Any, airflow: Callable[[], Any]) -> None:
    deployment.image(WAITS)
    cluster = deployment.cluster
    with airflow() as api:
        api.trigger(DAG, "killed", conf={})
        eventually(_deferred(api, "killed"), STEP_SECONDS)
        eventually(lambda: len(cluster.living) == 2, STEP_SECONDS)
        eventually(lambda: "rank 0 waits" in _log(api, "killed"), STEP_SECONDS)
        api._call("PATCH", f"/dags/{DAG}/dagRuns/killed/taskInstances/train", json={"new_state": "failed"})
        eventually(lambda: not cluster.jobs() and not cluster.running_processes(), STEP_SECONDS)
        assert not cluster.store.list("services")

        api.trigger(DAG, "cleared", conf={})
        eventually(lambda: len(cluster.living) == 2, STEP_SECONDS)
        eventually(_deferred(api, "cleared"), STEP_SECONDS)
        (first,) = cluster.jobs()
        clear = {"dry_run": False, "dag_run_id": "cleared", "task_ids": ["train"], "only_failed": False}
        api._call("POST", f"/dags/{DAG}/clearTaskInstances", json=clear)
        eventually(
            lambda: first["metadata"]["uid"] not in [job["metadata"]["uid"] for job in cluster.jobs()], STEP_SECONDS
        )
        eventually(lambda: len(cluster.living) == 2, STEP_SECONDS)
        eventually(_deferred(api, "cleared"), STEP_SECONDS)
        (second,) = cluster.jobs()
        assert second["metadata"]["name"].endswith("-2")

    assert len(cluster.living) == 2, "Airflow's end is not the training's"
    with airflow() as api:
        deployment.signal("go")
        eventually(lambda: api.run_state(DAG, "cleared") == "success", STEP_SECONDS)
        assert "rank 0 waits" in _log(api, "cleared", 2)
    assert [job["metadata"]["uid"] for job in cluster.jobs()] == [second["metadata"]["uid"]]
    assert cluster.running_processes() == 0
