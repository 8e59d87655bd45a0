"""A component that stops sending heartbeats is printed and notified, once, and again when it is back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.webhook import receiver

from nightjar.local import health
from nightjar.local.health import HealthWatch, notify
from nightjar.protocol.errors import UnreachableError

ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith("NIGHTJAR_ALERT")},
    "NIGHTJAR_LAKE": "/nowhere",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
}


class Clock:
    """A clock set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(health.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def looks(clock: Clock, seconds_and_unhealthy: list[tuple[float, list[str]]]) -> tuple[list[str], list[str]]:
    """Return printed and notified texts for the health at given seconds."""
    printed: list[str] = []
    notified: list[str] = []
    unhealthy: list[str] = []
    watch = HealthWatch(lambda: list(unhealthy), printed.append, notified.append, Path("/var/logs"))
    for seconds, names in seconds_and_unhealthy:
        clock.now = 1000 + seconds
        unhealthy[:] = names
        watch.check()
    return printed, notified


def test_a_scheduler_without_heartbeats_is_notified_once_and_again_when_it_is_back(clock: Clock) -> None:
    down = ["Airflow's scheduler"]
    printed, notified = looks(clock, [(0, []), (10, down), (60, down), (70, down), (300, down), (310, []), (320, [])])
    assert printed == notified
    assert [text.split(":")[0] for text in notified] == [
        "NEW Airflow's scheduler is not healthy for 60 s",
        "RESOLVED Airflow's scheduler is healthy again after 300 s",
    ]
    assert "/var/logs" in notified[0]


def test_a_server_that_starts_again_within_a_minute_is_not_notified(clock: Clock) -> None:
    assert looks(clock, [(0, ["MLflow"]), (50, ["MLflow"]), (60, []), (70, ["MLflow"]), (120, [])]) == ([], [])


def test_health_is_asked_for_every_ten_seconds(clock: Clock) -> None:
    asked: list[float] = []

    def unhealthy() -> list[str]:
        asked.append(clock.now - 1000)
        return []

    watch = HealthWatch(unhealthy, print, print, Path("/var/logs"))
    for clock.now in (1000, 1003, 1009.9, 1010, 1019, 1031):
        watch.check()
    assert asked == [0, 10, 31]


def test_servers_that_end_are_notified_with_the_reason(clock: Clock) -> None:
    notified: list[str] = []
    error = UnreachableError("MLflow ended by itself", where="mlflow.log", fix="start again")
    HealthWatch(list, print, notified.append, Path("/var/logs")).notify_end(error)
    assert notified == [
        "NEW the servers of this machine stop, and nights do not run: MLflow ended by itself | where: mlflow.log"
        " | how many: 1 | do: start again"
    ]


def test_a_text_goes_by_the_channels_of_alerts(tmp_path: Path) -> None:
    with receiver() as (address, sent):
        notify({**ENVIRON, "NIGHTJAR_ALERT_WEBHOOK": address}, "NEW text", tmp_path / "alerts.log")
    assert sent == ["NEW text"]
    assert "s3cret" not in (tmp_path / "alerts.log").read_text()


def test_without_a_channel_nothing_is_started(tmp_path: Path) -> None:
    notify(ENVIRON, "NEW text", tmp_path / "alerts.log")
    assert not (tmp_path / "alerts.log").exists()
