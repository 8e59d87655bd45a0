"""The hook against a real Spark application, started by spark-submit as in a night."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyspark
import pytest

from nightjar.contracts.errors import UnreachableError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.programs import ApplicationFolder
from nightjar.lake import files
from nightjar_airflow.hooks.spark_application import SparkApplicationHook

pytestmark = [pytest.mark.spark, pytest.mark.e2e]


@pytest.fixture
def environment(lake: str, jars: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The settings that a deployment makes."""
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("NIGHTJAR_JARS", str(Path(jars.split(",")[0]).parent))
    monkeypatch.setenv("SPARK_HOME", str(Path(pyspark.__file__).parent))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    connection = {
        "conn_type": "spark",
        "host": "local[2]",
        "extra": {"conf": {"spark.driver.memory": "1g", "spark.ui.enabled": "false"}},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))


def spec_of(lake: str, program: str = "land", use_case: str = "flight_delay") -> JobSpec:
    night = date(2013, 4, 1)
    return JobSpec(
        program=program, use_case=use_case, first_night=night, last_night=night, dag_id="d", run_id="r",
        task_id=program, lake=lake,
    )  # fmt: skip


@pytest.fixture
def hook(environment: None, lake: str) -> Iterator[SparkApplicationHook]:
    """A hook whose application is ended after the test."""
    hook = SparkApplicationHook(ApplicationFolder.of_run(spec_of(lake).run_dir))
    yield hook
    hook.stop()


def pid_of(lake: str) -> int:
    return int(json.loads(files.read_text(ApplicationFolder.of_run(spec_of(lake).run_dir).state))["pid"])


def wait(hook: SparkApplicationHook, spec: JobSpec) -> tuple[JobResult, list[str]]:
    lines: list[str] = []
    hook.submit(spec)
    results = [result for result in hook.results(spec, lines.append) if result is not None]
    return results[0], lines


def test_one_application_serves_many_tasks_dies_and_is_replaced(hook: SparkApplicationHook, lake: str) -> None:
    hook.ensure()
    first = pid_of(lake)
    result, lines = wait(hook, spec_of(lake))
    assert result.status == "succeeded"
    assert result.rows_in == result.rows_out > 0
    assert any("flight_delay land, nights 2013-04-01 to 2013-04-01" in line for line in lines)

    hook.ensure()
    assert pid_of(lake) == first, "a second task attaches"
    result, _ = wait(hook, spec_of(lake, "ingest", "nobody"))
    assert (result.status, result.error_kind) == ("failed", "configuration")
    assert "there is no use case 'nobody'" in result.error
    result, _ = wait(hook, spec_of(lake, "no_such_program"))
    assert "there is no Spark program 'no_such_program'" in result.error

    os.killpg(os.getpgid(first), signal.SIGKILL)
    spec = spec_of(lake)
    hook.submit(spec)
    with pytest.raises(UnreachableError, match="the Spark application died while it ran land"):
        list(hook.results(spec, print))
    hook.ensure()
    assert pid_of(lake) != first, "another one was started"
    result, _ = wait(hook, spec)
    assert result.status == "succeeded"

    hook.stop()
    assert not hook.is_alive()
    assert not Path(f"/proc/{pid_of(lake)}").exists()


def test_an_application_that_cannot_start_says_why(
    environment: None, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps({"conn_type": "spark", "host": "nonsense://x"}))
    hook = SparkApplicationHook(ApplicationFolder.of_run(spec_of(lake).run_dir))
    with pytest.raises(UnreachableError, match=r"ended with status 1 before it was ready: .*Master must"):
        hook.ensure()
