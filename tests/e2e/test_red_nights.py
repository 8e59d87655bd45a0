"""Nights that go wrong in the real Airflow: a fallback scores, Spark dies, and both are reported."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pytest
from tests.e2e.conftest import USE_CASE, Deployment, FirstRun, processes_of
from tests.e2e.test_nights import NIGHTLY, scores_of
from tests.webhook import receiver

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.local import plan
from nightjar.local.airflow_api import AirflowApi
from nightjar.local.airflow_login import USER, admin_password
from nightjar.local.follow import Request, RunFailedError
from nightjar.local.progress import Progress
from nightjar.local.session import own_servers
from nightjar.local.supervise import descendants
from nightjar.protocol.programs import ApplicationFolder
from nightjar.registry import models, rest

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(1500)]
RED, CUT, KILLED = date(2013, 4, 5), date(2013, 4, 6), date(2013, 4, 7)
OTHER = Request(
    title="a load beside it",
    dag_id=f"{USE_CASE.name}_history",
    run_id="beside",
    conf={"interval_start": "2013-04-05", "interval_end": "2013-04-05"},
)


@pytest.fixture(scope="module")
def alerts() -> Iterator[list[str]]:
    """Texts sent to the chat webhook."""
    with receiver() as (address, sent):
        os.environ["NIGHTJAR_ALERT_WEBHOOK"] = address
        yield sent
        del os.environ["NIGHTJAR_ALERT_WEBHOOK"]


@pytest.fixture(scope="module")
def deployment(first_run: FirstRun, alerts: list[str]) -> Iterator[Deployment]:
    with Progress() as progress, own_servers(first_run.paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(USE_CASE))
        yield Deployment(session, first_run.paths)


def states(deployment: Deployment, request: Request) -> dict[str, str | None]:
    return {task.task_id: task.state for task in deployment.session.api.tasks(request.dag_id, request.run_id)}


def applications(deployment: Deployment, request: Request) -> list[str]:
    """Spark applications that have served the run."""
    folder = ApplicationFolder.of_run(f"{deployment.lake}/_runs/{request.dag_id}/{request.run_id}")
    return sorted(os.listdir(folder.applications))


def drivers(deployment: Deployment) -> list[str]:
    return [line for line in processes_of(deployment.paths) if "nightjar_spark" in line and "application" in line]


def test_a_champion_that_was_altered_is_stood_in_for_in_plain_sight_until_it_is_mended(
    deployment: Deployment, alerts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", deployment.lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", deployment.session.ports.mlflow_url)
    champion = models.resolve(USE_CASE.name)
    night = plan.night(USE_CASE, RED)
    tag = {"name": USE_CASE.name, "version": champion.version, "key": models.SHA256_TAG}
    rest.call(deployment.session.ports.mlflow_url, "POST", "model-versions/set-tag", {**tag, "value": "0" * 64})
    try:
        deployment.session.api.trigger(OTHER.dag_id, OTHER.run_id, conf=OTHER.conf)
        with pytest.raises(RunFailedError, match="failed in task confirm_champion: FALLBACK, scores are published"):
            deployment.session.follower.ensure(night)
        deployment.session.follower.wait(OTHER)
    finally:
        rest.call(
            deployment.session.ports.mlflow_url, "POST", "model-versions/set-tag", {**tag, "value": champion.sha256}
        )
    found = states(deployment, night)
    assert found.pop("confirm_champion") == "failed"
    assert set(found.values()) == {"success"}, found
    rows = scores_of(deployment.lake, RED)
    assert rows.num_rows == Lake(deployment.lake).table(USE_CASE.feature_table).read_nights([RED]).num_rows > 500
    (reason,) = pc.unique(rows["fallback_reason"]).to_pylist()
    assert "SHA-256 differs" in reason
    (event,) = ledger.read(Lake(deployment.lake), event="fallback").to_pylist()
    assert event["run_id"] == night.run_id
    (text,) = [text for text in alerts if "confirm_champion" in text]
    assert text.startswith(f"NEW {NIGHTLY}, task confirm_champion: FALLBACK, scores are published: ")
    assert f"/dags/{NIGHTLY}/runs/{night.run_id}/tasks/confirm_champion" in text
    mine, others = applications(deployment, night), applications(deployment, OTHER)
    assert (len(mine), len(others), set(mine) & set(others)) == (1, 1, set()), "no night shares with another"
    assert drivers(deployment) == [], "the application is ended also when the night fails"

    deployment.run(night)  # fixed, then cleared
    assert set(states(deployment, night).values()) == {"success"}
    (over,) = [text for text in alerts if text.startswith(f"RESOLVED {NIGHTLY}, task confirm_champion")]
    assert f"run: {night.run_id}" in over
    rows = scores_of(deployment.lake, RED)
    assert pc.unique(rows["fallback_reason"]).to_pylist() == [None]
    assert pc.unique(rows["model_version"]).to_pylist() == [champion.version]


def test_a_night_whose_spark_dies_in_the_middle_starts_another_and_goes_on(deployment: Deployment) -> None:
    night = plan.night(USE_CASE, CUT)
    killed = threading.Thread(target=kill_driver, args=(deployment, night, "build_features"))
    killed.start()
    deployment.session.follower.ensure(night)
    killed.join()
    assert set(states(deployment, night).values()) == {"success"}
    assert len(applications(deployment, night)) == 2
    assert drivers(deployment) == []
    rows = scores_of(deployment.lake, CUT)
    assert rows.num_rows == Lake(deployment.lake).table(USE_CASE.feature_table).read_nights([CUT]).num_rows > 500
    assert pc.unique(rows["fallback_reason"]).to_pylist() == [None]


def test_a_night_is_published_though_each_server_and_a_worker_is_killed(deployment: Deployment) -> None:
    night, noticed = plan.night(USE_CASE, KILLED), list[float]()
    killer = threading.Thread(target=kill_servers, args=(deployment, night, noticed))
    killer.start()
    deployment.session.follower.ensure(night)
    killer.join()
    assert set(states(deployment, night).values()) == {"success"}
    rows = scores_of(deployment.lake, KILLED)
    assert rows.num_rows == Lake(deployment.lake).table(USE_CASE.feature_table).read_nights([KILLED]).num_rows > 500
    assert pc.unique(rows["fallback_reason"]).to_pylist() == [None]
    assert noticed[0] < 70, "Airflow notices within a minute, and this test looks every second"
    for server in ("postgres", "mlflow", "api-server", "scheduler", "dag-processor", "triggerer"):
        (log,) = deployment.paths.logs.glob(f"*{server}.log")
        assert "[supervisor] the server ended after" in log.read_text(errors="replace"), server


def kill_servers(deployment: Deployment, night: Request, noticed: list[float]) -> None:
    """SIGKILL a worker as it ingests, most servers while the task waits for its retry, and the scheduler as it scores.

    Args:
        deployment: The servers.
        night: The run.
        noticed: Gets the seconds after which Airflow noticed that the worker was gone.
    """
    api = AirflowApi(deployment.session.ports.airflow_url, USER, admin_password(deployment.paths.airflow_home))

    def wait_for(task_id: str, state: str) -> None:
        deadline = time.monotonic() + 600
        while api.run_state(night.dag_id, night.run_id) is None or (task_id, state) not in [
            (task.task_id, task.state) for task in api.tasks(night.dag_id, night.run_id)
        ]:
            assert time.monotonic() < deadline, f"{task_id} was never {state}"
            time.sleep(1)

    wait_for("ingest", "running")
    while len(busy := busy_workers()) != 1:  # the worker of the task before may still be tidying up
        time.sleep(0.1)
    os.kill(busy[0], signal.SIGKILL)
    killed = time.monotonic()
    wait_for("ingest", "up_for_retry")
    noticed.append(time.monotonic() - killed)
    for program in ("mlflow", "dag-processor", "triggerer", "uvicorn", "postgres"):
        os.kill(server_of(program), signal.SIGKILL)
        time.sleep(2)
    wait_for("score", "running")
    os.kill(server_of("scheduler"), signal.SIGKILL)


def busy_workers() -> list[int]:
    """Process ids of the scheduler's workers that run a task."""
    workers = {pid: command_line(pid) for pid in descendants(supervisor_of("scheduler"))}
    return [pid for pid, line in workers.items() if "LocalExecutor" in line and "<idle>" not in line]


def command_line(pid: int) -> str:
    """Command line of a process; empty when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def supervisor_of(program: str) -> int:
    """Process id of the supervisor, a child of this very process, that keeps a server."""
    (pid,) = (
        pid for pid in descendants(os.getpid()) if f"{program} " in f"{command_line(pid)} ".partition("supervise.py")[2]
    )
    return pid


def server_of(program: str) -> int:
    """Process id of the server itself: the first child of its supervisor, which adopts others later."""
    keeper = supervisor_of(program)
    children = {}
    for pid in descendants(keeper):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == keeper:
                children[int(fields[19])] = pid
    return children[min(children)]


def kill_driver(deployment: Deployment, night: Request, task: str) -> None:
    """SIGKILL the run's Spark driver and its JVM as soon as ``task`` has been handed to it."""
    folder = Path(ApplicationFolder.of_run(f"{deployment.lake}/_runs/{night.dag_id}/{night.run_id}").root)
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError):
            for state in folder.glob("*/heartbeat.json"):
                if json.loads(state.read_text()).get("task") == task:
                    driver = json.loads((state.parent / "application.json").read_text())["process"]["pid"]
                    jvm = int(Path(f"/proc/{driver}/stat").read_text().rsplit(")", 1)[1].split()[1])
                    for pid in (driver, jvm):
                        os.kill(pid, signal.SIGKILL)
                    return
        time.sleep(0.05)
