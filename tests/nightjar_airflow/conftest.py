"""A cluster double, a deployment's environment, and tasks run like in Airflow."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from tests.nightjar_airflow.cluster_programs import first_event

from nightjar.declaration.resources import Resources
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.local import server_environment, servers
from nightjar.local.airflow_api import AirflowApi
from nightjar.local.airflow_login import USER, admin_password
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.servers import Servers
from nightjar.protocol.job import JobResult
from nightjar.protocol.nights import Nights
from nightjar.protocol.results import parse_result
from nightjar_airflow.cluster import api, follow, mirror, observer
from nightjar_airflow.hooks import training_cluster
from nightjar_airflow.operators.training_program import TrainingProgramOperator
from nightjar_airflow.triggers import training_job
from nightjar_airflow.triggers.training_job import TrainingJobTrigger
from use_cases.flight_delay.landing import land
from use_cases.flight_delay.use_case import USE_CASE

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kubernetes_double import Cluster, eventually
from kubernetes_double.kubelet import IMAGE_PATH

START_SECONDS = 300

PROGRAM = """
import json, os, sys, time
from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.lake import files
rank = int(os.environ["RANK"])
spec = load_json(JobSpec, files.read_text(sys.argv[sys.argv.index("--spec") + 1]))

def finish(status="succeeded", **more):
    result = JobResult(status=status, spec_fingerprint=spec.fingerprint, **more)
    files.write_text(f"{spec.output}/result.json", dump_json(result))

def until(name):
    while not os.path.exists(os.path.join(os.environ["SIGNALS"], name)):
        time.sleep(0.02)

"""


@pytest.fixture(scope="session")
def landed_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landing folder with the flights of 2013-04-01."""
    folder = tmp_path_factory.mktemp("landing")
    night = date(2013, 4, 1)
    assert land(Nights(first=night, last=night, timezone=USE_CASE.schedule.timezone), str(folder)) > 2000
    return folder


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster whose pods end with the test."""
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(autouse=True)
def _short_pauses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses that are meant for real clusters."""
    if "cluster" in request.fixturenames:
        monkeypatch.setattr(api, "FIRST_PAUSE_SECONDS", 0.01)
        monkeypatch.setattr(mirror, "PAUSE_SECONDS", 0.02)
        monkeypatch.setattr(mirror, "LONGEST_PAUSE_SECONDS", 0.1)
        monkeypatch.setattr(follow, "PAUSE_SECONDS", 0.02)
        monkeypatch.setattr(observer, "CHECK_SECONDS", 0.1)
        monkeypatch.setattr(training_cluster, "PAUSE_SECONDS", 0.02)
        monkeypatch.setattr(training_job, "CANCEL_AGAIN_SECONDS", 0.1)
        monkeypatch.setattr(training_job, "FIRST_EVENT_SECONDS", 0.0)


class Deployment:
    """A deployment: its lake, its training connection, and its tasks."""

    def __init__(self, cluster: Cluster, lake: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = cluster
        self.lake = lake
        self.signals = folder / "signals"
        self.signals.mkdir()
        self.plugin = False
        self._package = folder / "image" / "nightjar_jobs"
        self._monkeypatch = monkeypatch
        self.settings: dict[str, Any] = {"image": "nightjar-training:1", "env": {"SIGNALS": str(self.signals)}}
        monkeypatch.setenv("NIGHTJAR_LAKE", lake)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("AIRFLOW_HOME", str(folder / "airflow"))
        self.connect()

    def connect(self, **settings: Any) -> None:
        """Write the training connection; these settings override the existing ones."""
        self.settings.update(settings)
        kube_config = self.cluster.kube_config(plugin=self.plugin)
        extra = {"namespace": "ml", "kube_config": kube_config, "training": self.settings}
        connection = {"conn_type": "kubernetes", "extra": extra}
        self._monkeypatch.setenv("AIRFLOW_CONN_TRAINING_DEFAULT", json.dumps(connection))

    def image(self, body: str) -> None:
        """Put a small program into the image in place of ``nightjar_jobs.train``."""
        self._package.mkdir(parents=True, exist_ok=True)
        (self._package / "__init__.py").write_text("")
        (self._package / "train.py").write_text(PROGRAM + dedent(body))
        self.connect(env={**self.settings["env"], "PYTHONPATH": f"{self._package.parent}:{IMAGE_PATH}"})

    def signal(self, name: str) -> None:
        """Let programs continue that wait for this signal."""
        (self.signals / name).touch()

    def all_run(self, ranks: int = 2) -> None:
        """Wait until the programs of ``ranks`` pods run."""
        eventually(lambda: len(self.cluster.living) == ranks)

    def assert_no_orphans(self) -> None:
        """Wait until no process, no pod, no Service and no Job is left that has not ended."""
        eventually(lambda: not self.cluster.running_processes() and not self.cluster.living)
        eventually(lambda: all(_has_ended(job) for job in self.cluster.jobs()))
        if not self.cluster.jobs():
            eventually(lambda: not self.cluster.store.list("services") and not self.cluster.pods())

    def task(self, try_number: int = 1, *, max_tries: int = 2, world_size: int = 2, **more: Any) -> Task:
        resources = more.pop("resources", Resources(cpus=1, memory_gib=2))
        map_index = more.pop("map_index", -1)
        use_case = replace(USE_CASE, training=replace(USE_CASE.training, resources=resources))
        operator = TrainingProgramOperator(use_case=use_case, program="train", world_size=world_size, **more)
        return Task(operator, self, try_number, max_tries, map_index)

    def result(self) -> JobResult:
        return parse_result(Path(self.lake, "_runs/flight_delay_training/r-1/train/result.json").read_text())

    def failures(self) -> list[str]:
        """Reasons of the ledger's failures."""
        return [row["reason"] for row in ledger.read(Lake(self.lake), event="failure").to_pylist()]


def _has_ended(job: dict[str, Any]) -> bool:
    return bool({"Failed", "Complete"} & {condition["type"] for condition in job["status"]["conditions"]})


class Task:
    """One attempt of one task, run like in Airflow: execute, trigger, resume, each from serialised state."""

    def __init__(
        self,
        operator: TrainingProgramOperator,
        deployment: Deployment,
        try_number: int,
        max_tries: int,
        map_index: int,
    ) -> None:
        self.operator = operator
        self.deployment = deployment
        run = SimpleNamespace(
            run_type="manual",
            dag_id="flight_delay_training",
            run_id="r-1",
            data_interval_start=datetime(2013, 4, 1, 6, tzinfo=UTC),
            data_interval_end=datetime(2013, 4, 2, 6, tzinfo=UTC),
            run_after=datetime(2013, 4, 2, 6, tzinfo=UTC),
            conf=None,
        )
        params = {"interval_start": None, "interval_end": None, "force": False}
        dag = SimpleNamespace(params=params)
        ti = SimpleNamespace(task_id="train", map_index=map_index, try_number=try_number, max_tries=max_tries)
        self.context: Any = {"dag_run": run, "dag": dag, "params": params, "ti": ti, "outlet_events": {}}
        self.deferred: TaskDeferred | None = None

    def run(self) -> dict[str, Any]:
        """Run the task from start to end."""
        self.defer()
        return self.resume(self.wait())

    def defer(self) -> TaskDeferred:
        """Run the task until it defers."""
        with pytest.raises(TaskDeferred) as raised:
            self.operator.execute(self.context)
        self.deferred = raised.value
        return self.deferred

    def trigger(self) -> TrainingJobTrigger:
        """Return the trigger, recreated as in a triggerer."""
        assert self.deferred is not None
        classpath, arguments = self.deferred.trigger.serialize()
        assert classpath == "nightjar_airflow.triggers.training_job.TrainingJobTrigger"
        return TrainingJobTrigger(**json.loads(json.dumps(arguments)))

    def wait(self) -> dict[str, Any]:
        """The event with which the trigger fires."""

        async def events() -> Any:
            return [event.payload async for event in self.trigger().run()]

        (event,) = json.loads(json.dumps(asyncio.run(events())))
        return dict(event)

    def wait_while(self, *acts: Callable[[], Any]) -> dict[str, Any]:
        """Let the trigger watch, do something to the cluster meanwhile, and return the trigger's event."""

        async def watched() -> dict[str, Any]:
            watching = asyncio.create_task(first_event(self.trigger()))
            for act in acts:
                await asyncio.to_thread(act)
            return await asyncio.wait_for(watching, 30)

        return asyncio.run(watched())

    def resume(self, event: dict[str, Any]) -> dict[str, Any]:
        """Resume the task on a worker with the event."""
        assert self.deferred is not None
        arguments = {**(self.deferred.kwargs or {}), "event": event}
        outcome: dict[str, Any] = self.operator.resume_execution(self.deferred.method_name, arguments, self.context)
        return outcome


@pytest.fixture
def deployment(cluster: Cluster, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(cluster, lake, tmp_path, monkeypatch)


@pytest.fixture
def standalone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[AirflowApi]]:
    """Starts Airflow with one DAG, on the same database each time; leaving the context ends every process of it."""
    paths = Paths(Paths.here().root, tmp_path / "var")
    dags = tmp_path / "dags"
    dags.mkdir()
    everything = server_environment.everything
    monkeypatch.setattr(servers, "mlflow_command", lambda *_: ["sleep", "infinity"])  # these tests need none
    # The double's pods are processes of this one too, and outlive Airflow; the supervisors end all that is Airflow's.
    monkeypatch.setattr(servers, "end_descendants", lambda **_: None)

    @contextmanager
    def up(dag_id: str, source: str, environ: Mapping[str, str]) -> Iterator[AirflowApi]:
        (dags / f"{dag_id}.py").write_text(source)
        own = {"AIRFLOW__CORE__DAGS_FOLDER": str(dags), **environ}
        monkeypatch.setattr(server_environment, "everything", lambda *given: {**everything(*given), **own})
        with Servers(paths, Progress()) as running:
            api = AirflowApi(running.state.ports.airflow_url, USER, admin_password(paths.airflow_home))
            eventually(lambda: not api.unhealthy(), START_SECONDS)
            eventually(lambda: api.has_dag(dag_id), START_SECONDS)
            api.unpause(dag_id)
            yield api

    return up
