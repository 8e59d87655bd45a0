"""Alerts: in the log, at a real HTTP receiver, by Slack's provider, and at a real mail server; each may fail."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from tests.mailbox import mailbox
from tests.webhook import receiver

from nightjar.lake import files
from nightjar.protocol.errors import ConfigurationError
from nightjar.settings.environment import Settings
from nightjar_airflow.dags import build_history_dag, build_nightly_dag, build_training_dag
from nightjar_airflow.notifiers import channels
from nightjar_airflow.notifiers.alert import AlertNotifier, RecoveryNotifier
from nightjar_airflow.notifiers.channels import send_alerts
from use_cases.flight_delay.use_case import USE_CASE

TOKYO = "Asia/Tokyo"
WHY = "ContractError: raw/flights, night 2013-04-02: 31 of 842 rows rejected (3.7%) | where: there | do: mend it"


def context(
    run_id: str = "scheduled__2013-04-02",
    why: str = WHY,
    *,
    map_index: int = -1,
    run_type: str = "scheduled",
    params: Mapping[str, str] | None = None,
) -> Any:
    due = datetime.fromisoformat(f"{run_id.split('__')[1]}T02:00:00+09:00")
    return {
        "dag_run": SimpleNamespace(dag_id="flight_delay_nightly", run_id=run_id, run_type=run_type, run_after=due),
        "ti": SimpleNamespace(task_id="ingest", map_index=map_index),
        "params": params or {},
        "exception": RuntimeError(why),
    }


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, lake: str) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(channels, "PAUSES_SECONDS", (0.01, 0.01))


@pytest.fixture
def sent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Texts sent to the configured webhook, which rejects the first ``request.param`` posts."""
    with receiver(getattr(request, "param", 0)) as (address, texts):
        monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", address)
        yield texts


def fail(caplog: pytest.LogCaptureFixture, **more: Any) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        AlertNotifier(TOKYO).notify(context(**more))
    return caplog.text


@pytest.mark.parametrize("sent", [0, 2], indirect=True)
def test_an_alert_says_what_failed_why_and_where_to_look(sent: list[str], caplog: pytest.LogCaptureFixture) -> None:
    log = fail(caplog)
    text = sent[-1]
    assert text.startswith("NEW flight_delay_nightly, task ingest: ContractError: raw/flights, night 2013-04-02")
    assert "/dags/flight_delay_nightly/runs/scheduled__2013-04-02/tasks/ingest" in text
    assert f"ALERT {text}" in log
    assert "1 alert(s) sent by the webhook" in log
    assert "s3cret" not in log


@pytest.mark.parametrize("sent", [9], indirect=True)
def test_a_webhook_that_never_answers_is_said_without_its_address(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = fail(caplog)
    assert len(sent) == 3
    assert "1 of 1 alerts were not sent by the webhook" in log
    assert "(503)" in log
    assert "s3cret" not in log
    assert "s3cret" not in repr(Settings.from_environment())


def test_without_a_channel_the_log_has_it(caplog: pytest.LogCaptureFixture) -> None:
    assert "ALERT NEW flight_delay_nightly" in fail(caplog)


def test_an_address_that_is_none_is_not_opened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", "file:///etc/passwd")
    assert "check NIGHTJAR_ALERT_WEBHOOK" in fail(caplog)


def test_one_alert_however_many_runs_fail_for_the_same_cause(sent: list[str], caplog: pytest.LogCaptureFixture) -> None:
    fail(caplog)
    assert "failing since run scheduled__2013-04-02, in 2 runs; already notified" in fail(
        caplog, run_id="scheduled__2013-04-03", why=WHY.replace("2013-04-02", "2013-04-03").replace("31 of", "40 of")
    )
    assert "in 2 runs; already notified" in fail(caplog, run_id="scheduled__2013-04-03")  # cleared, and failed again
    assert len(sent) == 1
    other = "SourceError: weather.csv is missing | where: there"
    for night, why in (("04", other), ("05", WHY), ("06", other)):
        fail(caplog, run_id=f"scheduled__2013-04-{night}", why=why)
    assert len(sent) == 2, "alternating causes are sent once each"
    assert "weather.csv is missing" in sent[1]


def recover(run_id: str, **more: Any) -> None:
    RecoveryNotifier(TOKYO).notify(context(run_id, **more))


def test_a_recovered_task_is_reported_once(sent: list[str], caplog: pytest.LogCaptureFixture) -> None:
    recover("scheduled__2013-04-01")
    assert sent == []
    fail(caplog)
    fail(caplog, run_id="scheduled__2013-04-03")
    for _ in range(2):
        recover("scheduled__2013-04-03")
    (resolved,) = sent[1:]
    assert resolved.startswith(
        "RESOLVED flight_delay_nightly, task ingest: succeeded after 2 failed run(s), the first scheduled__2013-04-02 "
        "| run: scheduled__2013-04-03 | page: "
    )
    fail(caplog, run_id="scheduled__2013-04-05")
    assert len(sent) == 3


def test_an_old_run_that_is_cleared_and_succeeds_says_nothing_of_the_latest(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    fail(caplog)
    fail(caplog, run_id="scheduled__2013-04-03")
    fail(caplog)  # the first one, cleared
    for run_id in ("scheduled__2013-03-25", "scheduled__2013-04-02"):
        recover(run_id)
    assert len(sent) == 1
    assert "failing since" in fail(caplog, run_id="scheduled__2013-04-04")
    recover("scheduled__2013-04-03")
    assert len(sent) == 1
    recover("scheduled__2013-04-05")
    assert sent[1].startswith("RESOLVED ")


def test_a_mapped_task_is_one_incident_until_all_that_failed_succeed(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for index in (0, 2):
        fail(caplog, map_index=index)
    recover("scheduled__2013-04-02", map_index=1)
    recover("scheduled__2013-04-02", map_index=0)
    assert len(sent) == 1
    recover("scheduled__2013-04-02", map_index=2)
    assert [text.split()[0] for text in sent] == ["NEW", "RESOLVED"]


def test_an_instance_that_succeeds_in_the_next_run_says_nothing_of_its_siblings(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    fail(caplog, map_index=0)
    fail(caplog, map_index=2)
    recover("scheduled__2013-04-09", map_index=0)
    fail(caplog, run_id="scheduled__2013-04-08", map_index=2)
    recover("scheduled__2013-04-16", map_index=0)
    assert len(sent) == 1
    recover("scheduled__2013-04-16", map_index=2)
    assert [text.split()[0] for text in sent] == ["NEW", "RESOLVED"]


def test_a_lasting_failure_sends_a_reminder_each_week(sent: list[str], caplog: pytest.LogCaptureFixture) -> None:
    for day in range(2, 26):
        fail(caplog, run_id=f"scheduled__2013-04-{day:02}")
    fail(caplog, run_id="scheduled__2013-04-03")  # an old one, cleared
    assert [text.split(" | ")[-1] for text in sent[1:]] == [
        f"failing since run scheduled__2013-04-02, in {runs} runs" for runs in (8, 15, 22)
    ]
    assert all(text.startswith("STILL OPEN flight_delay_nightly, task ingest: Contract") for text in sent[1:])


@pytest.mark.parametrize("sent", [0], indirect=True)
def test_a_reminder_that_no_channel_accepted_is_sent_by_the_next_run(
    sent: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(caplog)
    with monkeypatch.context() as away:
        away.setenv("NIGHTJAR_ALERT_WEBHOOK", "http://127.0.0.1:9/")
        fail(caplog, run_id="scheduled__2013-04-09")
    fail(caplog, run_id="scheduled__2013-04-10")
    fail(caplog, run_id="scheduled__2013-04-11")
    assert [text.split(" flight")[0] for text in sent] == ["NEW", "STILL OPEN"]


def test_a_run_that_somebody_starts_for_an_older_night_says_nothing_of_the_latest(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    fail(caplog, run_id="scheduled__2013-04-03")  # the night of the 2nd
    for last in ("2013-04-01", "2013-04-02"):
        assert len(sent) == 1
        asked_for = {"interval_start": "2013-03-30", "interval_end": last}
        recover("manual__2013-04-20", run_type="manual", params=asked_for)
    assert sent[1].startswith("RESOLVED "), "the very night that failed, run by hand"
    fail(caplog, run_id="manual__2013-04-20", run_type="manual", params={"interval_start": "2013-04-01"})
    assert len(sent) == 3, "the task failed because of the invalid interval"


def test_an_old_night_that_succeeds_in_a_backfill_says_nothing_of_tonight(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    fail(caplog)
    recover("backfill__2013-01-01", run_type="backfill")
    assert len(sent) == 1
    fail(caplog, run_id="backfill__2013-01-02", run_type="backfill")
    recover("backfill__2013-01-03", run_type="backfill")
    assert len(sent) == 3
    assert "failing since" in fail(caplog, run_id="scheduled__2013-04-03")


def test_an_alert_is_sent_when_the_lake_does_not_answer(
    sent: list[str], caplog: pytest.LogCaptureFixture, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(f"{lake}/monitoring", "w") as in_the_way:
        in_the_way.write("no folder")
    log = fail(caplog)
    assert len(sent) == 1
    assert "cannot be read" in log
    assert "is not stored and may be sent again" in log
    recover("scheduled__2013-04-03")
    assert len(sent) == 1


def test_an_invalid_state_file_loses_no_alert(sent: list[str], caplog: pytest.LogCaptureFixture, lake: str) -> None:
    files.write_text(f"{lake}/monitoring/_failures/flight_delay_nightly/ingest.json", "{")
    fail(caplog)
    fail(caplog)
    assert len(sent) == 1


@pytest.mark.parametrize("sent", [3], indirect=True)
def test_an_alert_that_no_channel_accepted_is_sent_by_the_next_run(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    fail(caplog)
    fail(caplog, run_id="scheduled__2013-04-03")
    assert len(sent) == 4
    assert "failing since run scheduled__2013-04-03" in fail(caplog, run_id="scheduled__2013-04-04")


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
            text = "NEW shop data: 3 < 5\nrows {{ 7 * 7 }} | since 2013-04-01, 1 night | do: docs/runbooks/data.md"
            assert send_alerts([text], context())
    (mail,) = mails
    assert mail["Subject"] == "NEW shop data: 3 < 5 rows {{ 7 * 7 }}"
    assert "on-call@example.org" in mail["To"]
    assert "data@example.org" in mail["To"]
    body = mail.get_body(("html",))
    assert body is not None
    page = body.get_content()
    assert "<p>NEW shop data: 3 &lt; 5\nrows {{ 7 * 7 }}</p>" in page  # as it is: no template, no markup
    assert "<p>since 2013-04-01, 1 night</p>" in page
    assert "1 alert(s) sent by the mail server" in caplog.text


@pytest.mark.parametrize(
    ("setting", "page"),
    [
        ("", "docs/runbooks/contract.md"),
        ("https://git.example.org/fork/blob/main/docs/{page}.md", "https://git.example.org/fork/blob/main/docs/runbooks/contract.md"),
        ("https://docs.example.org/{page}.html", "https://docs.example.org/runbooks/contract.html"),
    ],
)  # fmt: skip
def test_a_runbook_is_a_link_to_the_documentation_that_the_deployment_names(
    setting: str, page: str, sent: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NIGHTJAR_DOCS_PAGE", setting)
    assert send_alerts(["NEW broken | do: clear the task (docs/runbooks/contract.md)"], context())
    assert sent == [f"NEW broken | do: clear the task ({page})"]
    assert "ALERT NEW broken | do: clear the task (docs/runbooks/contract.md)" in caplog.text


@pytest.mark.parametrize("setting", ["docs/{page}.md", "https://docs.example.org/", "https://x/{page}/{page}"])
def test_an_address_without_a_place_for_the_page_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_DOCS_PAGE", setting)
    with pytest.raises(ConfigurationError, match="is not the address of a page"):
        Settings.from_environment()


@pytest.fixture(params=["away", "silent"])
def dead_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Port of a mail server that is missing, or accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if request.param == "away":
            server.close()
        yield port


def test_a_mail_server_that_does_not_answer_is_said_and_changes_nothing(
    dead_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = {
        "conn_type": "smtp", "host": "127.0.0.1", "port": dead_port, "login": "me", "password": "s3cret",
        "extra": {
            "disable_ssl": True, "disable_tls": True, "from_email": "a@example.org", "retry_limit": 1, "timeout": 1,
        },
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("NIGHTJAR_ALERT_EMAIL_TO", "on-call@example.org")
    with caplog.at_level(logging.INFO):
        assert not send_alerts(["NEW something"], context())
    assert caplog.text.count("the mail server did not accept the alert") == 3
    assert "1 of 1 alerts were not sent by the mail server: check NIGHTJAR_ALERT_EMAIL_TO" in caplog.text
    assert "s3cret" not in caplog.text


def test_slack_gets_it_by_its_provider(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with receiver() as (address, texts):
        host, token = address.rsplit("/", 1)
        connection = {"conn_type": "slackwebhook", "host": host, "password": token}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_ALERTS", json.dumps(connection))
        monkeypatch.setenv("NIGHTJAR_ALERT_SLACK_CONN", "slack_alerts")
        with caplog.at_level(logging.INFO):
            assert send_alerts(["NEW shop data: {{ 7 * 7 }} & <!channel>"], context())
    assert texts == ["NEW shop data: {{ 7 * 7 }} &amp; &lt;!channel&gt;"]  # Slack shows it as it was
    assert "1 alert(s) sent by Slack" in caplog.text
    assert "s3cret" not in caplog.text


def test_one_accepting_channel_is_enough(sent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_ALERT_SLACK_CONN", "there_is_none")
    assert send_alerts(["NEW something", "NEW other"], context())
    assert sent == ["NEW something", "NEW other"]


def test_every_task_of_every_dag_notifies_of_failure_and_recovery() -> None:
    for build in (build_history_dag, build_nightly_dag, build_training_dag):
        for task in build(USE_CASE, doc_md="# page").tasks:
            assert [type(callback) for callback in task.on_failure_callback] == [AlertNotifier]
            assert [type(callback) for callback in task.on_success_callback] == [RecoveryNotifier]
