"""Usage of a program, from its connection and its declaration."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from nightjar.declaration.resources import Resources
from nightjar.protocol.job import JobSpec
from nightjar_airflow.usage import Usage, of_spark, of_training
from use_cases.flight_delay.use_case import USE_CASE

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("host", "conf", "usage"),
    [
        ("local", {}, Usage(cpus=1)),
        ("local[*]", {}, Usage(cpus=HERE)),
        ("local[3]", {}, Usage(cpus=3)),
        ("local[*,4]", {}, Usage(cpus=HERE)),
        ("k8s://https://cluster:6443", {"spark.executor.instances": 4, "spark.executor.cores": 8}, Usage(cpus=33)),
        (
            "yarn",
            {"spark.dynamicAllocation.maxExecutors": 10, "spark.executor.cores": 4, "spark.driver.cores": 2},
            Usage(cpus=42),
        ),
        ("spark://master", {"spark.cores.max": 16}, Usage(cpus=16)),
        ("yarn", {"spark.executor.instances": 2, "spark.executor.resource.gpu.amount": 1}, Usage(cpus=3, gpus=2)),
    ],
)
def test_a_spark_application(monkeypatch: pytest.MonkeyPatch, host: str, conf: dict[str, Any], usage: Usage) -> None:
    connection = {"conn_type": "spark", "host": host, "extra": {"conf": conf}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    assert of_spark("spark_default") == usage


@pytest.mark.parametrize(("program", "gpus"), [("train", 6), ("evaluate", 0)])
def test_a_training_holds_all_its_ranks_and_gpus_only_where_it_uses_them(program: str, gpus: int) -> None:
    resources = Resources(cpus=4, gpus=2)
    use_case = replace(USE_CASE, training=replace(USE_CASE.training, resources=resources))
    spec = JobSpec(
        program=program, use_case=use_case.name, first_night=date(2013, 4, 1), last_night=date(2013, 4, 1), dag_id="d",
        run_id="r", task_id=program, lake="lake", world_size=3, threads_per_rank=4,
    )  # fmt: skip
    assert of_training(use_case, spec) == Usage(cpus=12, gpus=gpus)
