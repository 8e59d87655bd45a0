"""Metrics as received by a StatsD server (UDP) and an OpenTelemetry collector (HTTP)."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyspark
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from nightjar.declaration.resources import Resources
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import UnreachableError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.metrics import METRICS, OF_MODELS, OF_NIGHTS, TAGS
from nightjar.protocol.programs import PLAIN_PROGRAMS, SPARK_PROGRAMS, TRAINING_PROGRAMS, ApplicationFolder
from nightjar_airflow import metrics
from nightjar_airflow.hooks.spark_application import SparkApplicationHook
from nightjar_airflow.operators.plain_program import PlainProgramOperator
from nightjar_airflow.operators.spark_program import SparkProgramOperator
from nightjar_airflow.usage import Usage
from use_cases.flight_delay.use_case import USE_CASE

NIGHT = date(2013, 4, 1)
LINE = re.compile(r"airflow\.nightjar\.(\w+),([^:]+):([-+\d.e]+)\|g")


def initialize() -> None:
    """As a task's process does before it runs the operator."""
    stats.initialize(factory=get_stats_factory(), export_legacy_names=True)


class StatsD:
    """A StatsD server's socket."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)  # sent within this machine, so it is there immediately
        self.port = self.socket.getsockname()[1]

    def lines(self) -> list[str]:
        """What has arrived since the last call."""
        found = []
        try:
            while True:
                found.append(self.socket.recv(65536).decode())
        except TimeoutError:
            return found

    def gauges(self) -> dict[str, float]:
        """The project's metrics; their tags must be those that are declared."""
        matches = [match for line in self.lines() if (match := LINE.fullmatch(line))]
        for match in matches:
            assert tuple(tag.split("=")[0] for tag in match[2].split(",")) == TAGS
        return {match[1]: float(match[3]) for match in matches}


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsD]:
    """Airflow's own settings send metrics to this socket."""
    server = StatsD()
    settings = {
        "STATSD_ON": True,
        "STATSD_HOST": "127.0.0.1",
        "STATSD_PORT": server.port,
        "STATSD_INFLUXDB_ENABLED": True,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", str(value))
    initialize()
    yield server
    monkeypatch.undo()
    initialize()
    server.socket.close()


def spec(program: str = "ingest", **more: Any) -> JobSpec:
    return JobSpec(
        program=program, use_case=USE_CASE.name, first_night=NIGHT, last_night=NIGHT, dag_id="flight_delay_nightly",
        run_id="r", task_id=program, lake="lake", **more,
    )  # fmt: skip


def result(**more: Any) -> JobResult:
    given: dict[str, Any] = {"status": "succeeded", "seconds": {"total": 36.0}}
    return JobResult(**given | more)


def context(run_type: str = "manual", late: timedelta = timedelta()) -> Any:
    run = SimpleNamespace(run_type=run_type, data_interval_end=datetime.now(UTC) - late)
    return {"dag_run": run}


def emit(of: JobSpec, what: JobResult, *, where: Any = None, usage: Usage | None = None) -> None:
    metrics.emit(where or context(), USE_CASE, of, what, lambda: usage or Usage(cpus=2))


def test_rows_and_seconds_of_any_program(statsd: StatsD) -> None:
    emit(spec(), result(rows_in=720, rows_out=700, rows_rejected=20))
    assert statsd.gauges() == {
        "succeeded": 1, "seconds": 36, "rows_in": 720, "rows_out": 700, "rows_rejected": 20, "rows_per_second": 20,
        "cpu_hours": 0.02, "gpu_hours": 0,
    }  # fmt: skip


def test_tags_say_what_it_is_of(statsd: StatsD) -> None:
    emit(spec("tune", map_index=3), result())
    tags = "use_case=flight_delay,program=tune,dag_id=flight_delay_nightly,map_index=3"
    assert f"airflow.nightjar.seconds,{tags}:36.0|g" in statsd.lines()


def test_a_failed_program_has_seconds_and_a_cost_but_no_rows(statsd: StatsD, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_PRICE_CPU_HOUR", "0.5")
    emit(spec(), result(status="failed", error="e"))
    assert statsd.gauges() == {
        "succeeded": 0, "seconds": 36, "cpu_hours": 0.02, "gpu_hours": 0, "cost": pytest.approx(0.01)
    }  # fmt: skip


def test_the_cost_is_what_was_held_at_declared_prices(statsd: StatsD, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_PRICE_CPU_HOUR", "0.05")
    monkeypatch.setenv("NIGHTJAR_PRICE_GPU_HOUR", "3")
    emit(spec("train"), result(seconds={"total": 7200.0}), usage=Usage(cpus=16, gpus=4))
    assert statsd.gauges()["cost"] == pytest.approx(2 * 16 * 0.05 + 2 * 4 * 3)


def test_a_scheduled_night_says_how_late_it_was_published_and_a_backfill_does_not(statsd: StatsD) -> None:
    emit(spec("publish_scores"), result(), where=context("scheduled", late=timedelta(minutes=12)))
    found = statsd.gauges()
    assert found["published_after_minutes"] == pytest.approx(12, abs=0.1)
    assert found["deadline_minutes"] == USE_CASE.schedule.deadline_minutes
    midnight = datetime(2013, 4, 2, 4, tzinfo=UTC)  # in New York
    assert found["published_night_end_timestamp_seconds"] == midnight.timestamp()
    emit(spec("publish_scores"), result(), where=context("manual"))
    assert statsd.gauges().keys() & {metric.name for metric in OF_NIGHTS} == {"published_night_end_timestamp_seconds"}


@pytest.mark.parametrize("metric", [*OF_NIGHTS, *OF_MODELS], ids=lambda metric: metric.name)
def test_a_backfill_says_nothing_of_how_things_stand(statsd: StatsD, metric: Any) -> None:
    (program,) = metric.programs
    emit(spec(program), result(metrics={metric.source: 0.25} if metric.source else {}), where=context("backfill"))
    found = statsd.gauges()
    assert metric.name not in found
    assert found["succeeded"] == 1


@pytest.mark.parametrize("metric", OF_MODELS, ids=lambda metric: metric.name)
def test_figures_of_a_program_s_result_are_passed_on(statsd: StatsD, metric: Any) -> None:
    (program,) = metric.programs
    emit(spec(program), result(metrics={metric.source: 0.25, "other": 1.0}))
    assert statsd.gauges()[metric.name] == 0.25
    emit(spec("land"), result(metrics={metric.source: 0.25}))
    assert metric.name not in statsd.gauges()


def test_nan_is_left_out(statsd: StatsD) -> None:
    emit(spec("report_drift"), result(metrics={"max_psi": float("nan"), "drifted_share": float("inf")}))
    assert not {"max_psi", "drifted_share"} & statsd.gauges().keys()


def test_programs_of_the_metrics_are_programs() -> None:
    named = {program for metric in METRICS for program in metric.programs}
    assert named <= {*SPARK_PROGRAMS, *TRAINING_PROGRAMS, *PLAIN_PROGRAMS}


def broken() -> Usage:
    raise RuntimeError("the connection is gone")


@pytest.mark.parametrize(
    ("usage", "price", "said"),
    [(broken, "1", "RuntimeError: the connection is gone"), (lambda: Usage(cpus=1), "cheap", "'cheap' is not a price")],
)
def test_metrics_fail_no_task(
    statsd: StatsD,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    usage: Callable[[], Usage],
    price: str,
    said: str,
) -> None:
    monkeypatch.setenv("NIGHTJAR_PRICE_CPU_HOUR", price)
    metrics.emit(context(), USE_CASE, spec(), result(), usage)
    assert said in caplog.text
    assert statsd.gauges() == {}


def test_without_an_exporter_nothing_is_asked() -> None:
    def asked() -> Usage:
        raise AssertionError

    metrics.emit(context(), USE_CASE, spec(), result(), asked)


def test_a_server_that_is_away_fails_no_task(statsd: StatsD) -> None:
    statsd.socket.close()
    emit(spec(), result())


def of_task(task_id: str) -> Any:
    """Airflow's context of a task of a night."""
    midnight = datetime(2013, 4, 1, 4, tzinfo=UTC)
    run = SimpleNamespace(
        dag_id="d",
        run_id="r",
        data_interval_start=midnight,
        data_interval_end=None,
        run_after=midnight,
        conf=None,
        run_type="manual",
    )
    params = {"interval_start": None, "interval_end": None}
    ti = SimpleNamespace(task_id=task_id, map_index=-1, try_number=1, max_tries=0)
    return {"dag_run": run, "dag": SimpleNamespace(params=params), "params": params, "ti": ti}


class TestOfOperators:
    """One line in each operator."""

    def test_a_training_on_pods(self, statsd: StatsD, deployment: Any) -> None:
        deployment.image('finish(rows_in=8, rows_out=8, seconds={"total": 3600}) if rank == 0 else None')
        task = deployment.task(world_size=2, resources=Resources(cpus=3, memory_gib=2, gpus=1))
        task.run()
        found = statsd.gauges()
        assert (found["rows_out"], found["cpu_hours"], found["gpu_hours"]) == (8, 6, 2)

    def test_a_training_that_fails(self, statsd: StatsD, deployment: Any) -> None:
        deployment.image('finish("failed", error="no luck | where: x | how many: 1 | do: y") if rank == 0 else None')
        with pytest.raises(AirflowFailException, match="no luck"):
            deployment.task(world_size=1).run()
        assert statsd.gauges()["succeeded"] == 0

    def test_a_spark_program_whose_application_dies_twice(
        self, statsd: StatsD, lake: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def died(hook: SparkApplicationHook) -> None:
            raise UnreachableError("the application died", where="here", fix="clear the task")

        monkeypatch.setattr(SparkApplicationHook, "ensure", died)
        monkeypatch.setenv("NIGHTJAR_LAKE", lake)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        connection = {"conn_type": "spark", "host": "local[2]"}
        monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
        with pytest.raises(AirflowException, match="the application died"):
            SparkProgramOperator(use_case=USE_CASE, program="ingest").execute(of_task("ingest"))
        assert statsd.gauges()["succeeded"] == 0

    @pytest.mark.spark
    def test_a_spark_program(
        self,
        statsd: StatsD,
        lake: str,
        jars: str,
        spark_conf: dict[str, str],
        landed_night: Path,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("NIGHTJAR_LANDING", str(landed_night))
        monkeypatch.setenv("NIGHTJAR_LAKE", lake)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("NIGHTJAR_JARS", str(Path(jars.split(",")[0]).parent))
        monkeypatch.setenv("SPARK_HOME", str(Path(pyspark.__file__).parent))
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
        connection = {"conn_type": "spark", "host": "local[2]", "extra": {"conf": spark_conf}}
        monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
        try:
            SparkProgramOperator(use_case=USE_CASE, program="ingest").execute(of_task("ingest"))
        finally:
            SparkApplicationHook(ApplicationFolder.of_run(f"{lake}/_runs/d/r")).stop()
        found = statsd.gauges()
        assert found["rows_out"] > 2000
        assert found["cpu_hours"] == pytest.approx(2 * found["seconds"] / 3600, rel=1e-3)

    def test_a_plain_program(self, statsd: StatsD, lake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("NIGHTJAR_LAKE", lake)
        monkeypatch.setenv("NIGHTJAR_LANDING", str(tmp_path / "landing"))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        summary = PlainProgramOperator(use_case=USE_CASE, program="land").execute(of_task("land"))
        assert summary["rows_out"] > 2000
        found = statsd.gauges()
        assert found["rows_out"] == summary["rows_out"]
        assert found["cpu_hours"] == pytest.approx(found["seconds"] / 3600, rel=1e-3)


class Collector(HTTPServer):
    """An OpenTelemetry collector's HTTP port; keeps the last value of each gauge."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.gauges: dict[str, float] = {}
        self.tags: set[str] = set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = ExportMetricsServiceRequest.FromString(
            gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        )
        for of_resource in request.resource_metrics:
            for of_scope in of_resource.scope_metrics:
                for metric in of_scope.metrics:
                    (point,) = metric.gauge.data_points
                    self.server.gauges[metric.name] = point.as_double or float(point.as_int)
                    self.server.tags |= {attribute.key for attribute in point.attributes}
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Suppress request logs."""


EMITS = """
from types import SimpleNamespace
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory
from nightjar.protocol.documents import load_json
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import parse_result
from nightjar_airflow import metrics
from nightjar_airflow.usage import Usage
from use_cases.flight_delay.use_case import USE_CASE
stats.initialize(factory=get_stats_factory(), export_legacy_names=True)
context = {"dag_run": SimpleNamespace(run_type="manual")}
metrics.emit(context, USE_CASE, load_json(JobSpec, SPEC), parse_result(RESULT), lambda: Usage(cpus=2))
"""


def test_a_collector_gets_the_same_when_the_task_s_process_ends(tmp_path: Path) -> None:
    collector = Collector()
    done = result(rows_in=720, rows_out=700, rows_rejected=20)
    program = f"SPEC = {dump_json(spec())!r}\nRESULT = {dump_json(done)!r}\n{EMITS}"
    environ = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "NO_PROXY": "127.0.0.1",
    }
    subprocess.run([sys.executable, "-c", program], env=environ, check=True, timeout=60)
    collector.shutdown()
    collector.server_close()
    assert collector.gauges == {
        "airflow.nightjar.succeeded": 1, "airflow.nightjar.seconds": 36, "airflow.nightjar.rows_in": 720,
        "airflow.nightjar.rows_out": 700, "airflow.nightjar.rows_rejected": 20, "airflow.nightjar.rows_per_second": 20,
        "airflow.nightjar.cpu_hours": 0.02, "airflow.nightjar.gpu_hours": 0,
    }  # fmt: skip
    assert collector.tags == set(TAGS)
