"""Live metrics in MLflow, which may be unreachable meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from nightjar.registry import rest
from nightjar.registry.live import LiveRun
from nightjar.runner import run_program
from nightjar_jobs import evaluate, register

pytestmark = pytest.mark.e2e
ROUNDS = 160


class Door:
    """A port that leads to a server while it is open."""

    def __init__(self, uri: str) -> None:
        host, port = uri.removeprefix("http://").split(":")
        self._to = (host, int(port))
        self.is_open = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            caller, _ = self._listener.accept()
            if not self.is_open:
                caller.close()
                continue
            server = socket.create_connection(self._to)
            for source, sink in ((caller, server), (server, caller)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def door(registry: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The registry behind a door; programs know the door only."""
    door = Door(registry)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", door.uri)
    yield door
    door.is_open = True


def _runs(uri: str, run_name: str) -> list[dict[str, Any]]:
    (experiment,) = [rest.call(uri, "GET", "experiments/get-by-name", {"experiment_name": "flight_delay"})]
    search = {
        "experiment_ids": [experiment["experiment"]["experiment_id"]],  # type: ignore[index]
        "filter": f"attributes.run_name = '{run_name}'",
    }
    return (rest.call(uri, "POST", "runs/search", search) or {}).get("runs", [])


def _steps(uri: str, run: dict[str, Any], key: str) -> list[int]:
    asked = {"run_id": run["info"]["run_id"], "metric_key": key, "max_results": 1000}
    answer = rest.call(uri, "GET", "metrics/get-history", asked) or {}
    return [int(metric["step"]) for metric in answer.get("metrics", [])]


def test_a_training_is_followed_and_then_completed_by_register(door: Door, new_run: Callable[..., Any]) -> None:
    run = new_run("followed")
    run.freeze()
    assert run("train").status == "succeeded"
    (followed,) = _runs(door.uri, "followed")
    assert followed["info"]["status"] == "FINISHED"
    for name in ("boosting_validation_log_loss_by_round", "boosting_rows_per_second_by_round", "boosting_seconds_left"):
        assert _steps(door.uri, followed, name) == list(range(1, ROUNDS + 1))
    assert _steps(door.uri, followed, "system/cpu_utilization_percentage")
    for program in (evaluate, register):
        result = run_program(program.run, run.spec(program.__name__.rsplit(".", 1)[1]))
        assert result.status == "succeeded", result.error
    assert result.mlflow_run_id == followed["info"]["run_id"]
    assert _steps(door.uri, followed, "boosting_validation_log_loss_by_round") == list(range(1, ROUNDS + 1))


def test_mlflow_may_go_away_in_the_middle_and_the_model_registers_later(
    door: Door, new_run: Callable[..., Any]
) -> None:
    run = new_run("left-alone")
    run.freeze()
    launched = run.launch("train")
    tell = launched.ranks.on_line

    def close_door(line: str) -> None:
        tell(line)
        if line.startswith("checkpoint after round 50"):
            door.is_open = False

    launched.ranks.on_line = close_door
    launched.ranks.wait()
    assert run.result("train").status == "succeeded"
    assert any("metrics were not sent to MLflow" in line for line in launched.lines)
    door.is_open = True
    assert run_program(evaluate.run, run.spec("evaluate")).status == "succeeded"
    door.is_open = False
    away = run_program(register.run, run.spec("register"))
    assert (away.status, away.error_kind, away.retryable) == ("failed", "unreachable", True)
    door.is_open = True
    registered = run_program(register.run, run.spec("register"))
    assert registered.status == "succeeded"
    assert registered.model_sha256 == run.result("train").model_sha256
    (run_of_training,) = _runs(door.uri, "left-alone")
    assert sorted(_steps(door.uri, run_of_training, "boosting_validation_log_loss_by_round")) == list(
        range(1, ROUNDS + 1)
    )


def test_missing_metrics_are_sent_when_mlflow_is_back_and_a_retry_continues_the_run(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.is_open = False
    live = LiveRun(door.uri, "flight_delay", "away", {"nightjar.train_fingerprint": "away"})
    live.report(1, {"boosting_validation_log_loss_by_round": 0.6})
    _until(lambda: "training goes on without MLflow" in caplog.text)
    door.is_open = True
    with caplog.at_level("INFO"):
        _until(lambda: "MLflow answers again" in caplog.text)
    live.close(succeeded=False)
    (first,) = _runs(door.uri, "away")
    assert first["info"]["status"] == "FAILED"
    assert caplog.text.count("training goes on without MLflow") == 1
    again = LiveRun(door.uri, "flight_delay", "away", {"nightjar.train_fingerprint": "away"})
    again.report(2, {"boosting_validation_log_loss_by_round": 0.7})
    again.close(succeeded=True)
    (second,) = _runs(door.uri, "away")
    assert (second["info"]["run_id"], second["info"]["status"]) == (first["info"]["run_id"], "FINISHED")
    assert _steps(door.uri, second, "boosting_validation_log_loss_by_round") == [1, 2]


def _until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
