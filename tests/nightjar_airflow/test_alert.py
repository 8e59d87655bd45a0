"""Alerts: in the log, at a real HTTP receiver, by Slack's provider, and at a real mail server; each may fail."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.mailbox import mailbox
from tests.webhook import receiver

from nightjar.contracts.settings import Settings
from nightjar_airflow.dags import build_history_dag, build_nightly_dag, build_training_dag
from nightjar_airflow.notifiers import channels
from nightjar_airflow.notifiers.alert import AlertNotifier, RecoveryNotifier
from nightjar_airflow.notifiers.channels import tell
from use_cases.flight_delay.use_case import USE_CASE

WHY = "ContractError: raw/flights, night 2013-04-02: 31 of 842 rows rejected (3.7%) | where: there | do: mend it"


def context(run_id: str = "scheduled__2013-04-02", why: str = WHY) -> Any:
    return {
        "dag_run": SimpleNamespace(dag_id="flight_delay_nightly", run_id=run_id),
        "ti": SimpleNamespace(task_id="ingest"),
        "exception": RuntimeError(why),
    }


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, lake: str) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(channels, "PAUSES_SECONDS", (0.01, 0.01))


@pytest.fixture
def told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the webhook that is set has been told; it refuses so many posts first."""
    with receiver(getattr(request, "param", 0)) as (address, texts):
        monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", address)
        yield texts


def fail(caplog: pytest.LogCaptureFixture, **more: str) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        AlertNotifier().notify(context(**more))
    return caplog.text


@pytest.mark.parametrize("told", [0, 2], indirect=True)
def test_an_alert_says_what_failed_why_and_where_to_look(told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    log = fail(caplog)
    text = told[-1]
    assert text.startswith("flight_delay_nightly, task ingest: ContractError: raw/flights, night 2013-04-02")
    assert "/dags/flight_delay_nightly/runs/scheduled__2013-04-02/tasks/ingest" in text
    assert f"ALERT {text}" in log
    assert "the alert was taken by the webhook" in log
    assert "s3cret" not in log


@pytest.mark.parametrize("told", [9], indirect=True)
def test_a_webhook_that_never_answers_is_said_without_its_address(
    told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = fail(caplog)
    assert len(told) == 3
    assert "the alert went nowhere by the webhook" in log
    assert "(503)" in log
    assert "s3cret" not in log
    assert "s3cret" not in repr(Settings.from_environment())


def test_without_a_channel_the_log_has_it(caplog: pytest.LogCaptureFixture) -> None:
    assert "ALERT flight_delay_nightly" in fail(caplog)


def test_an_address_that_is_none_is_not_opened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", "file:///etc/passwd")
    assert "see that NIGHTJAR_ALERT_WEBHOOK is right" in fail(caplog)


def test_one_alert_however_many_runs_fail_for_the_same_cause(told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    fail(caplog)
    assert "still failing since run scheduled__2013-04-02, 2 runs" in fail(
        caplog, run_id="scheduled__2013-04-03", why=WHY.replace("2013-04-02", "2013-04-03").replace("31 of", "40 of")
    )
    assert "2 runs" in fail(caplog, run_id="scheduled__2013-04-03")  # cleared, and failed again
    assert len(told) == 1
    fail(caplog, run_id="scheduled__2013-04-04", why="SourceError: weather.csv is missing | where: there")
    assert len(told) == 2
    assert "weather.csv is missing" in told[1]


def test_a_task_that_failed_and_does_no_more_is_told_once(told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    RecoveryNotifier().notify(context())
    assert told == []
    fail(caplog)
    for _ in range(2):
        RecoveryNotifier().notify(context("scheduled__2013-04-03"))
    assert told[1:] == [
        "RESOLVED flight_delay_nightly, task ingest: succeeded after 1 failed run(s) | run: scheduled__2013-04-03"
    ]
    fail(caplog, run_id="scheduled__2013-04-05")
    assert len(told) == 3


@pytest.mark.parametrize("refuse", [0, 1])
def test_a_mail_has_the_alert_in_lines(
    refuse: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with mailbox(refuse) as (port, mails):
        connection = {
            "conn_type": "smtp", "host": "127.0.0.1", "port": port,
            "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "nightjar@example.org", "retry_limit": 1},
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("NIGHTJAR_ALERT_EMAIL_TO", "on-call@example.org, data@example.org")
        with caplog.at_level(logging.INFO):
            tell(
                "NEW shop data: 3 < 5 rows {{ 7 * 7 }} | since 2013-04-01, 1 night | do: docs/runbooks/data.md",
                context(),
            )
    (mail,) = mails
    assert mail["Subject"] == "NEW shop data: 3 < 5 rows {{ 7 * 7 }}"
    assert "on-call@example.org" in mail["To"]
    assert "data@example.org" in mail["To"]
    body = mail.get_body(("html",))
    assert body is not None
    page = body.get_content()
    assert "<p>NEW shop data: 3 &lt; 5 rows {{ 7 * 7 }}</p>" in page  # as it is: no template, no markup
    assert "<p>since 2013-04-01, 1 night</p>" in page
    assert "the alert was taken by the mail server" in caplog.text


def test_a_mail_server_that_is_away_is_said_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = {
        "conn_type": "smtp", "host": "127.0.0.1", "port": 9, "login": "me", "password": "s3cret",
        "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "a@example.org", "retry_limit": 1},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("NIGHTJAR_ALERT_EMAIL_TO", "on-call@example.org")
    with caplog.at_level(logging.INFO):
        tell("NEW something", context())
    assert "the alert went nowhere by the mail server: see that NIGHTJAR_ALERT_EMAIL_TO is right" in caplog.text
    assert "s3cret" not in caplog.text


def test_slack_gets_it_by_its_provider(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with receiver() as (address, texts):
        host, token = address.rsplit("/", 1)
        connection = {"conn_type": "slackwebhook", "host": host, "password": token}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_ALERTS", json.dumps(connection))
        monkeypatch.setenv("NIGHTJAR_ALERT_SLACK_CONN", "slack_alerts")
        with caplog.at_level(logging.INFO):
            tell("NEW shop data: {{ 7 * 7 }}", context())
    assert texts == ["NEW shop data: {{ 7 * 7 }}"]
    assert "the alert was taken by Slack" in caplog.text
    assert "s3cret" not in caplog.text


def test_every_task_of_every_dag_tells_when_it_fails_and_when_it_recovers() -> None:
    for build in (build_history_dag, build_nightly_dag, build_training_dag):
        for task in build(USE_CASE, doc_md="# page").tasks:
            assert [type(callback) for callback in task.on_failure_callback] == [AlertNotifier]
            assert [type(callback) for callback in task.on_success_callback] == [RecoveryNotifier]
