"""Alerts: in the log, and at a real HTTP receiver that may fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.webhook import receiver

from nightjar.contracts.settings import Settings
from nightjar_airflow.dags import build_nightly_dag
from nightjar_airflow.notifiers import alert
from nightjar_airflow.notifiers.alert import AlertNotifier
from use_cases.flight_delay.use_case import USE_CASE

CONTEXT: dict[str, Any] = {
    "dag_run": SimpleNamespace(dag_id="flight_delay_nightly", run_id="scheduled__2013-04-02"),
    "ti": SimpleNamespace(task_id="confirm_champion"),
    "exception": RuntimeError("FALLBACK, scores are published: version 3 stood in"),
}


@pytest.fixture
def told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the webhook that is set has been told; it refuses so many posts first."""
    monkeypatch.setenv("NIGHTJAR_LAKE", "/lake")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(alert, "PAUSES_SECONDS", (0.01, 0.01))
    with receiver(getattr(request, "param", 0)) as (address, texts):
        monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", address)
        yield texts


def notify(caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.INFO):
        AlertNotifier().notify(CONTEXT)  # type: ignore[arg-type]
    return caplog.text


@pytest.mark.parametrize("told", [0, 2], indirect=True)
def test_an_alert_says_what_failed_why_and_where_to_look(told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    log = notify(caplog)
    text = told[-1]
    assert text.startswith(
        "flight_delay_nightly, task confirm_champion: FALLBACK, scores are published: version 3 stood in"
    )
    assert "/dags/flight_delay_nightly/runs/scheduled__2013-04-02/tasks/confirm_champion" in text
    assert f"ALERT {text}" in log
    assert "the alert was taken (200)" in log
    assert "s3cret" not in log


@pytest.mark.parametrize("told", [9], indirect=True)
def test_a_webhook_that_never_answers_is_said_without_its_address(
    told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = notify(caplog)
    assert len(told) == 3
    assert "the alert went nowhere" in log
    assert "s3cret" not in log
    assert "s3cret" not in repr(Settings.from_environment())


def test_without_a_webhook_the_log_has_it(
    told: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NIGHTJAR_ALERT_WEBHOOK")
    assert "ALERT flight_delay_nightly" in notify(caplog)
    assert told == []


def test_an_address_that_is_none_is_not_opened(
    told: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", "file:///etc/passwd")
    assert "is no http(s) address" in notify(caplog)


def test_a_night_that_another_version_has_scored_alerts() -> None:
    task = build_nightly_dag(USE_CASE, doc_md="# page").get_task("confirm_champion")
    assert [type(callback) for callback in task.on_failure_callback] == [AlertNotifier]
