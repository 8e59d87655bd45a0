"""The last task of a night: new notifications are sent, whatever is cleared; history sends nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors
from tests.program_results import neutral_result
from tests.webhook import receiver

from nightjar.lake import files
from nightjar.protocol.incidents import Notification, RetrainingDecision
from nightjar.protocol.job import JobResult
from nightjar.protocol.results import ReactResult
from nightjar_airflow.backends.local import LocalBackend
from nightjar_airflow.notifiers import channels
from nightjar_airflow.operators.react import ReactOperator
from use_cases.flight_delay.use_case import USE_CASE

RETRAIN = Asset("retrain/flight_delay")
DRIFT = Notification(
    subject="flight_delay drift: features",
    resolved=False,
    found=True,
    severity="warn",
    text="flight_delay drift: much moved",
)
DATA = Notification(
    subject="flight_delay data: raw/flights", resolved=False, found=True, severity="warn", text="flight_delay data: odd"
)


class Nights:
    """Runs the task with a fake process; the program is tested on its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lake: str) -> None:
        self.monkeypatch, self.lake = monkeypatch, lake
        self.asked_with: dict[str, Any] = {}

    def run(
        self, day: int, *notifications: Notification, run_type: str = "scheduled", request: bool = False
    ) -> list[str]:
        """The assets of which Airflow would emit an event."""

        def program(process: LocalBackend) -> JobResult:
            spec = process._spec
            self.asked_with = dict(spec.params)
            retrain = RetrainingDecision(request=request, reason="drift")
            return neutral_result(ReactResult, notifications=notifications, retrain=retrain)

        self.monkeypatch.setattr(LocalBackend, "run", program)
        run = SimpleNamespace(
            dag_id="flight_delay_nightly", run_id=f"{run_type}__{day}", run_type=run_type, conf={},
            data_interval_start=datetime(2013, 4, day, 10, tzinfo=UTC), data_interval_end=None,
            run_after=datetime(2013, 4, day + 1, 10, tzinfo=UTC),
        )  # fmt: skip
        context: Any = {
            "dag_run": run, "ti": SimpleNamespace(task_id="react", map_index=-1), "params": {},
            "dag": SimpleNamespace(params={}), "outlet_events": OutletEventAccessors(),
        }  # fmt: skip
        operator = ReactOperator(use_case=USE_CASE, outlets=[RETRAIN])
        operator.execute(context)
        return [outlet.name for outlet in operator.outlets]


@pytest.fixture
def nights(monkeypatch: pytest.MonkeyPatch, lake: str) -> Nights:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example.org/")
    monkeypatch.setattr(channels, "PAUSES_SECONDS", (0.01, 0.01))
    return Nights(monkeypatch, lake)


@pytest.fixture
def sent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with receiver(getattr(request, "param", 0)) as (address, texts):
        monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", address)
        yield texts


def page(day: int) -> str:
    return f" | page: http://airflow.example.org/dags/flight_delay_nightly/runs/scheduled__{day}"


def resolved(notification: Notification) -> Notification:
    return Notification(
        subject=notification.subject, resolved=True, found=False, severity="warn", text=notification.text
    )


def test_an_incident_of_many_nights_is_notified_twice_whatever_is_cleared(nights: Nights, sent: list[str]) -> None:
    for day in (1, 1, 2, 2, 3):
        nights.run(day, DRIFT)
    nights.run(3, DRIFT, DATA)
    for _ in range(2):
        nights.run(4, resolved(DRIFT), DATA)
    assert sent == [
        f"NEW flight_delay drift: much moved{page(1)}", f"NEW flight_delay data: odd{page(3)}",
        f"RESOLVED flight_delay drift: much moved{page(4)}",
    ]  # fmt: skip


def test_a_backfill_notifies_nothing_and_the_next_night_reports_open_incidents(nights: Nights, sent: list[str]) -> None:
    for day in (1, 2, 3):
        assert nights.run(day, DRIFT, run_type="backfill", request=True) == []
        assert nights.asked_with["history"] is True
    assert sent == []
    nights.run(4, DRIFT)
    assert sent == [f"NEW flight_delay drift: much moved{page(4)}"]
    assert nights.asked_with["history"] is False


def test_a_night_before_the_last_is_history(nights: Nights, sent: list[str]) -> None:
    assert nights.run(4, request=True) == [RETRAIN.name]
    assert nights.asked_with["history"] is False
    assert nights.run(2, DRIFT, request=True) == []
    assert nights.asked_with["history"] is True, "so that the ledger has no request without an event"
    assert sent == []
    assert nights.run(4, request=False) == []


def test_a_report_becomes_a_page_of_the_server(nights: Nights, sent: list[str]) -> None:
    look = f"much moved | look: {nights.lake}/reports/flight_delay/2013-04-01/drift.html"
    nights.run(1, Notification(subject="d", resolved=False, found=True, severity="warn", text=look))
    nights.run(
        2,
        Notification(
            subject="w",
            resolved=False,
            found=True,
            severity="warn",
            text=f"odd | look: {nights.lake}/monitoring/warnings",
        ),
    )
    report = "http://airflow.example.org/nightjar/files/reports/flight_delay/2013-04-01/drift.html"
    assert sent[0] == f"NEW much moved | look: {report}{page(1)}"
    assert f"NEW odd | look: monitoring/warnings{page(2)}" in sent


@pytest.mark.parametrize("sent", [3], indirect=True)
def test_a_notification_that_no_channel_accepted_is_sent_by_the_next_night(
    nights: Nights, sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    nights.run(1, DRIFT, DATA)
    assert "2 of 2 alerts were not sent by the webhook" in caplog.text
    assert len(sent) == 3, "a dead channel is not waited for again with each alert"
    nights.run(2, resolved(DRIFT))  # resolved before it was notified
    assert sent[3:] == [
        f"NEW flight_delay drift: much moved{page(1)}", f"NEW flight_delay data: odd{page(1)}",
        f"RESOLVED flight_delay drift: much moved{page(2)}",
        f"RESOLVED flight_delay data: raw/flights: monitoring has no open incident on it any more{page(2)}",
    ]  # fmt: skip


def test_sent_notifications_are_stored_in_the_lake(nights: Nights, sent: list[str]) -> None:
    nights.run(1, DRIFT)
    known = json.loads(files.read_text(f"{nights.lake}/monitoring/_notified/flight_delay.json"))
    assert known == {
        "last_night": "2013-04-01", "open": {DRIFT.subject: {"night": "2013-04-01", "severity": "warn"}}, "unsent": [],
    }  # fmt: skip
