"""The hook against a real Spark application, started by spark-submit as in a night."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyspark
import pytest
from airflow.sdk.exceptions import AirflowException
from tests.small_disk import fill, small_disk

import use_cases
from nightjar.code_digest import digest_of
from nightjar.protocol.errors import StorageFullError, UnreachableError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.programs import ApplicationFolder
from nightjar_airflow.hooks import spark_application
from nightjar_airflow.hooks.spark_application import SparkApplicationHook
from nightjar_airflow.operators.start_spark import StartSparkOperator
from use_cases.flight_delay.use_case import USE_CASE

pytestmark = [pytest.mark.spark, pytest.mark.e2e]


@pytest.fixture
def environment(
    lake: str, jars: str, spark_conf: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The settings of a deployment."""
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("NIGHTJAR_JARS", str(Path(jars.split(",")[0]).parent))
    monkeypatch.setenv("SPARK_HOME", str(Path(pyspark.__file__).parent))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    connection = {"conn_type": "spark", "host": "local[2]", "extra": {"conf": spark_conf}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))


def spec_of(lake: str, program: str = "validate_scores", use_case: str = "flight_delay") -> JobSpec:
    """A job; by default one that is refused as soon as it runs."""
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


def folder_of(lake: str) -> Path:
    return Path(ApplicationFolder.of_run(spec_of(lake).run_dir).root)


def current(lake: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder_of(lake) / "current.json").read_text())
    return document


def pid_of(lake: str) -> int:
    """The driver that serves the run."""
    return int(
        json.loads((folder_of(lake) / current(lake)["start"] / "application.json").read_text())["process"]["pid"]
    )


def command_lines(lake: str) -> dict[int, str]:
    """The processes that name the run's folder on their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_text().replace("\0", " ")
            if str(folder_of(lake)) in line:
                found[int(process.name)] = line
    return found


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def launched(lake: str) -> bool:
    return (folder_of(lake) / "current.json").exists() and current(lake)["launcher"] is not None


def runs(hook: SparkApplicationHook, lake: str) -> bool:
    """Whether a program of the project runs in the application."""
    return wait(hook, spec_of(lake))[0].error.startswith("`score` has left no result")


def wait(hook: SparkApplicationHook, spec: JobSpec) -> tuple[JobResult, list[str]]:
    lines: list[str] = []
    hook.submit(spec)
    results = [result for result in hook.results(spec, lines.append) if result is not None]
    return results[0], lines


def test_a_full_scratch_disk_is_why_spark_does_not_start(
    hook: SparkApplicationHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "scratch", 256) as disk:
        monkeypatch.setenv("SPARK_LOCAL_DIRS", str(disk))
        fill(disk)
        with pytest.raises(StorageFullError, match=rf"no space left for Spark to start: .*where: {disk}"):
            hook.ensure()


def test_one_application_serves_many_tasks_dies_and_is_replaced(
    hook: SparkApplicationHook, lake: str, landed_night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTJAR_LANDING", str(landed_night))
    hook.ensure()
    first = pid_of(lake)
    result, lines = wait(hook, spec_of(lake, "ingest"))
    assert result.status == "succeeded", result.error
    assert result.rows_in == result.rows_out + result.rows_rejected > 0
    assert any("flight_delay ingest, nights 2013-04-01 to 2013-04-01" in line for line in lines)

    hook.ensure()
    assert pid_of(lake) == first, "a second task attaches"
    result, _ = wait(hook, spec_of(lake, "ingest", "unheard_of"))
    assert (result.status, result.error_kind) == ("failed", "configuration")
    assert "unknown use case 'unheard_of'" in result.error
    result, _ = wait(hook, spec_of(lake, "no_such_program"))
    assert "unknown Spark program 'no_such_program'" in result.error

    os.killpg(os.getpgid(first), signal.SIGKILL)
    spec = spec_of(lake)
    hook.submit(spec)
    with pytest.raises(UnreachableError, match="the Spark application died while it ran validate_scores"):
        list(hook.results(spec, print))
    hook.ensure()
    assert pid_of(lake) != first, "another one was started"
    assert runs(hook, lake)

    hook.stop()
    assert not hook.is_alive()
    assert eventually(lambda: not command_lines(lake))


START = """
import sys
from nightjar.protocol.programs import ApplicationFolder
from nightjar_airflow.hooks.spark_application import SparkApplicationHook

SparkApplicationHook(ApplicationFolder(sys.argv[1])).ensure()
"""


def test_code_that_was_changed_since_the_application_started_runs(
    hook: SparkApplicationHook, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    shutil.copytree(Path(use_cases.__file__).parent, code / "use_cases", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", f"{code}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(spark_application, "code_digest", lambda: digest_of([code]))
    hook.ensure()
    first = pid_of(lake)
    assert runs(hook, lake)
    hook.ensure()
    assert pid_of(lake) == first
    helper = code / "use_cases" / "flight_delay" / "sources.py"
    helper.write_text("raise ValueError('the new code runs')\n")
    tasks = [threading.Thread(target=SparkApplicationHook(hook._folder).ensure) for _ in range(3)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    hook.ensure()
    assert pid_of(lake) != first
    assert len(list((folder_of(lake) / "applications").iterdir())) == 2, "one task starts it, the others attach"
    result = wait(hook, spec_of(lake))[0]
    assert "the new code runs" in result.error
    assert "(use_cases/flight_delay/sources.py:1)" in result.error


def test_one_that_was_still_starting_when_its_task_was_killed_is_ended_first(
    hook: SparkApplicationHook, lake: str
) -> None:
    task = subprocess.Popen([sys.executable, "-c", START, str(folder_of(lake))])
    assert eventually(lambda: launched(lake))
    task.kill()
    task.wait()
    first = current(lake)["launcher"]["pid"]
    assert first in command_lines(lake), "it outlives its task"
    hook.ensure()
    assert first not in command_lines(lake)
    assert all(current(lake)["start"] in line for pid, line in command_lines(lake).items() if pid != task.pid)
    assert len(list((folder_of(lake) / "applications").iterdir())) == 1


def test_one_that_was_thought_dead_ends_itself_when_another_serves_the_run(
    hook: SparkApplicationHook, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_application, "HEARTBEAT_SECONDS", 0.2)
    hook.ensure()
    first, group = pid_of(lake), os.getpgid(pid_of(lake))
    state = folder_of(lake) / current(lake)["start"] / "application.json"
    for file in (state, folder_of(lake) / "current.json"):  # as if it ran on another machine, out of reach
        file.write_text(file.read_text().replace(f'"{socket.gethostname()}"', '"elsewhere"'))
    os.killpg(group, signal.SIGSTOP)
    time.sleep(2)
    hook.ensure()
    assert pid_of(lake) != first
    assert first in command_lines(lake)
    os.killpg(group, signal.SIGCONT)
    assert eventually(lambda: first not in command_lines(lake))
    assert runs(hook, lake)


def test_a_start_that_is_killed_takes_its_application_along(
    environment: None, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = StartSparkOperator(use_case=USE_CASE)
    run = SimpleNamespace(
        dag_id="d",
        run_id="r",
        run_type="manual",
        data_interval_start=datetime(2013, 4, 1, 6, tzinfo=UTC),
        data_interval_end=datetime(2013, 4, 2, 6, tzinfo=UTC),
        conf={},
    )
    context = {
        "dag_run": run, "dag": SimpleNamespace(params={}), "params": {},
        "ti": SimpleNamespace(task_id="start_spark", map_index=-1),
    }  # fmt: skip
    failures: list[BaseException] = []

    def execute() -> None:
        try:
            operator.execute(context)
        except AirflowException as error:
            failures.append(error)

    task = threading.Thread(target=execute)
    task.start()
    assert eventually(lambda: launched(lake))
    operator.on_kill()
    task.join(30)
    assert failures, "the task must not go on"
    assert eventually(lambda: not command_lines(lake))


def test_secrets_of_the_connection_are_on_no_command_line_and_in_no_log(
    hook: SparkApplicationHook, lake: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_SPARK_DEFAULT"])
    connection["extra"]["conf"]["spark.hadoop.fs.s3a.secret.key"] = "tops3cret"
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    with caplog.at_level(logging.DEBUG):
        hook.ensure()
    assert command_lines(lake)
    assert not [line for line in command_lines(lake).values() if "tops3cret" in line]
    assert "tops3cret" not in caplog.text
    assert "tops3cret" not in (folder_of(lake) / "application.log").read_text()


def test_an_application_that_cannot_start_says_why(
    environment: None, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps({"conn_type": "spark", "host": "nonsense://x"}))
    hook = SparkApplicationHook(ApplicationFolder.of_run(spec_of(lake).run_dir))
    with pytest.raises(UnreachableError, match=r"ended with status 1 before it was ready: .*Master must"):
        hook.ensure()
