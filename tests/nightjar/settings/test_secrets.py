"""No error, log, result, ledger event or alert holds credentials."""

from __future__ import annotations

import logging
from datetime import date
from typing import Any

import pytest

from nightjar.lake import files, ledger
from nightjar.lake.lake import Lake
from nightjar.logs import TIMED, RedactingFormatter
from nightjar.protocol.errors import ConfigurationError, UnreachableError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.runner import run_program
from nightjar.settings.secrets import redacted, without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:Hunter2@host/x", "https://***@host/x"),
        ("no answer from https://user:Hunter2@host:5000 (timeout)", "no answer from https://***@host:5000 (timeout)"),
        ("https://user:Hun@ter2@host/x", "https://***@host/x"),
        ("https://user:Hun/Hunter2@host/x", "https://***@host/x"),
        ("https://Hunter2@host/x", "https://***@host/x"),
        ("https://user:Hunter2%40@[::1]:80/x?y=1@2", "https://***@[::1]:80/x?y=1@2"),
        ("postgresql+psycopg2://air:Hunter2@/db?host=/run", "postgresql+psycopg2://***@/db?host=/run"),
        ("'s3://AKIA:Hunter2/x+y@bucket/lake'", "'s3://***@bucket/lake'"),
        ("socks5h://u:Hunter2@proxy:1080, http://u:Hunter2@p", "socks5h://***@proxy:1080, http://***@p"),
        (
            "jdbc:postgresql://h/d?user=u&password=Hunter2&ssl=true",
            "jdbc:postgresql://h/d?user=u&password=***&ssl=true",
        ),
        ("jdbc:sqlserver://h;user=u;password=Hunter2;x=1", "jdbc:sqlserver://h;user=u;password=***;x=1"),
        ("jdbc:oracle:thin:scott/Hunter2@//h:1521/x", "jdbc:oracle:thin:***@//h:1521/x"),
        ("spark.hadoop.fs.s3a.secret.key=Hunter2 is bad", "spark.hadoop.fs.s3a.secret.key=*** is bad"),
        ("https://h/x?X-Amz-Signature=Hunter2&a=1", "https://h/x?X-Amz-Signature=***&a=1"),
        ("https://h/c?sv=1&sig=Hunter2", "https://h/c?sv=1&sig=***"),
        ('{"login": "u", "password": "Hunter2"}', '{"login": "u", "password": "***"}'),
        ("{'api_key': 'Hunter2'}", "{'api_key': '***'}"),
        ("Authorization: Bearer Hunter2", "Authorization: Bearer ***"),
        ("https://hooks.example.org/services/T0/B0/Hunter2", "https://hooks.example.org/services/***"),
        ("https://x.webhook.office.example/webhook/Hunter2", "https://x.webhook.office.example/webhook/***"),
    ],
)
def test_credentials_are_hidden_whatever_the_text(text: str, shown: str) -> None:
    assert redacted(text, {}) == shown


@pytest.mark.parametrize(
    "text",
    [
        "/lake/raw/flights of 2013-04-01: 3 of 120 rows",
        "http://127.0.0.1:5000/#/models/flight_delay/versions/1",
        "http://127.0.0.1:8080/x/a@b",
        "abfss://container@account.dfs.example.net/lake",
        "s3://bucket/lake@v2",
        "write to people@example.org",
        "unexpected token: ';' at line 3, significance=0.05",
        "set AIRFLOW_CONN_SPARK_DEFAULT, a token is missing",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redacted(text, {"TOKENIZERS_PARALLELISM": "false", "AWS_TOKEN_FILE": "/lake/raw", "A_SECRET": "x"}) == text


@pytest.mark.parametrize(
    "environ",
    [
        {"MLFLOW_TRACKING_PASSWORD": "Hunter2"},
        {"MLFLOW_TRACKING_URI": "https://user:Hunter2@host"},
        {"AWS_SECRET_ACCESS_KEY": "Hunter2"},
        {"NIGHTJAR_ALERT_WEBHOOK": "Hunter2"},
        {"AIRFLOW_CONN_X": '{"conn_type": "s3", "extra": {"conf": {"spark.hadoop.fs.s3a.secret.key": "Hunter2"}}}'},
        {"AIRFLOW_CONN_X": '{"password": "Hunter2"}'},
        {"AIRFLOW_CONN_X": "smtp://user:Hunter%32@host:25"},
        {"https_proxy": "http://user:Hunter2@proxy:3128"},
    ],
)
def test_secrets_of_the_environment_are_hidden_wherever_they_stand(environ: dict[str, str]) -> None:
    assert redacted("connect(user, Hunter2) failed", environ) == "connect(user, ***) failed"


def test_an_error_hides_them_in_every_part() -> None:
    secret = "https://user:Hunter2@host"
    error = ConfigurationError(f"bad {secret}", where=secret, fix=f"mend {secret}")
    assert "Hunter2" not in "".join(
        map(str, (error, error.what, error.where, error.fix, error.args, error.__reduce__()))
    )


@pytest.mark.parametrize("kind", [ValueError, UnreachableError])
def test_a_failed_program_hides_them_in_its_result_its_log_and_the_ledger(
    kind: type[Exception], lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(spec: JobSpec) -> JobResult:
        text = "no answer from https://user:Hunter2@host"
        raise UnreachableError(text, where=text, fix=text) if kind is UnreachableError else kind(text)

    spec = JobSpec(
        program="gate", use_case="flight_delay", first_night=date(2013, 1, 1), last_night=date(2013, 1, 2),
        dag_id="d", run_id="r", task_id="gate", lake=lake.uri,
    )  # fmt: skip
    run_program(fail, spec)
    written = files.read_text(f"{spec.output}/result.json") + str(ledger.read(lake, event="failure").to_pylist())
    formatter = RedactingFormatter(TIMED)
    logged = "".join(formatter.format(record) for record in caplog.records)
    assert "https://***@host" in written
    assert "Hunter2" not in written + logged
    if kind is ValueError:
        assert "Traceback" in logged


def test_a_log_line_hides_them_in_its_arguments() -> None:
    record: Any = logging.makeLogRecord({"msg": "asking %s", "args": ("https://user:Hunter2@host",)})
    assert RedactingFormatter("%(message)s").format(record) == "asking https://***@host"


def test_a_link_for_people_has_no_credentials_and_still_opens() -> None:
    assert without_credentials("https://user:Hunter2@host:5000/#/models/x") == "https://host:5000/#/models/x"
    assert without_credentials("http://127.0.0.1:5000/a@b") == "http://127.0.0.1:5000/a@b"
