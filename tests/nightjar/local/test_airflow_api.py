"""The REST client against a small HTTP server that answers like Airflow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.nightjar.local.fake_airflow import LOG, START, FakeAirflow, make_run

import use_cases
from nightjar.local.airflow_api import AirflowApi, ApiError, Task
from nightjar.protocol.errors import UnreachableError

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_a_token_is_fetched_once_and_again_when_it_has_expired(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    assert api.has_dag("d")
    assert api.has_dag("d")
    assert fake.tokens == 1
    fake.valid = "token2"
    assert api.has_dag("d")
    assert fake.tokens == 2


def test_a_busy_server_is_asked_again_and_a_refusal_is_not(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.busy = 3
    assert api.has_dag("d")
    fake.busy = 10**9
    with pytest.raises(UnreachableError, match="database is locked"):
        api.has_dag("d")
    fake.busy = 0
    with pytest.raises(ApiError, match="status 422"):
        api._call("GET", "/nonsense")


def test_a_server_that_is_not_there_is_unreachable_and_unhealthy() -> None:
    api = AirflowApi("http://127.0.0.1:9", "admin", "right")
    assert api.unhealthy() == ["Airflow"]
    with pytest.raises(UnreachableError, match="does not answer"):
        api.has_dag("d")


def test_the_components_that_are_not_healthy_are_named(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    assert airflow[1].unhealthy() == ["Airflow's DAG processor"]


def test_runs_are_read_page_by_page(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.runs = [make_run(night) for night in range(250)]
    found = api.runs_between("d", START, START + timedelta(days=229))
    assert [run["dag_run_id"] for run in found] == [f"backfill__{night}" for night in range(230)]


def test_a_backfill_is_asked_for_again_while_the_database_is_locked(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.busy = 2
    api.create_backfill("d", START, START + timedelta(days=1))
    asked = [body for method, path, body in fake.asked if (method, path) == ("POST", "/api/v2/backfills")]
    assert len(asked) == 3
    assert asked[-1] == {
        "dag_id": "d",
        "from_date": "2013-04-01T06:00:00+00:00",
        "to_date": "2013-04-02T06:00:00+00:00",
        "reprocess_behavior": "failed",
        "max_active_runs": 1,
    }


def test_a_run_that_was_made_by_a_request_without_an_answer_is_followed(
    airflow: tuple[FakeAirflow, AirflowApi],
) -> None:
    _, api = airflow
    api.trigger("d", "night__2013-04-01", conf={})
    api.trigger("d", "night__2013-04-01", conf={})
    assert api.run_state("d", "night__2013-04-01") == "queued"


def test_no_password_is_sent_to_a_server_that_is_not_ours(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, ours = airflow

    def check() -> None:
        raise UnreachableError("the run that started the servers has ended", where="run.json", fix="again")

    api = AirflowApi(ours.base_url, "admin", "right", check)
    with pytest.raises(UnreachableError, match="the run that started the servers has ended"):
        api.has_dag("d")
    assert fake.asked == []
    assert fake.tokens == 0


def test_all_tasks_and_running_runs_are_read_page_by_page(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.task_states = {f"tune~{number}": "success" for number in range(250)}
    assert [task.task_id for task in api.tasks("d", "night__2013-04-01")] == list(fake.task_states)
    fake.runs = [make_run(day, "running") for day in range(130)]
    assert len(api.running("d")) == 130


SOURCES: list[dict[str, Any] | str] = [
    {"event": "::group::Log message source details", "sources": ["/logs/attempt=1.log"]},
    {"event": "/logs/dag_id=d/run_id=r/task_id=ingest/attempt=1.log"},
    {"event": "Could not read served logs: 404 Not Found"},
    {"event": "::endgroup::"},
]

KILLED = (
    "its process ended without an error, {}: it was killed or could not start; check memory and disk; "
    "read var/logs/airflow-scheduler.log"
)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (SOURCES, KILLED.format("before it logged anything")),
        (SOURCES[:2], KILLED.format("before it logged anything")),
        ([line["event"] for line in SOURCES if isinstance(line, dict)], KILLED.format("before it logged anything")),
        ([], KILLED.format("before it logged anything")),
        ([*SOURCES, {"event": "::group::Pre Execute"}], KILLED.format("before it logged anything")),
        ([*SOURCES, {"event": "12 files", "level": "info"}], KILLED.format("after the line '12 files'")),
        (
            [*SOURCES, {"event": "no such bucket", "level": "error"}, {"event": "stopping", "level": "info"}],
            "no such bucket",
        ),
        ([*SOURCES, *LOG], LOG[1]["error_detail"][0]["exc_value"]),
    ],
)
def test_the_reason_of_a_failure_is_never_the_path_of_its_log(
    log: list[Any], reason: str, airflow: tuple[FakeAirflow, AirflowApi]
) -> None:
    fake, api = airflow
    fake.log = log
    task = Task(task_id="ingest", state="failed", try_number=1, started=None)
    assert api.last_log_line("d", "r", task) == reason


def test_an_import_error_names_the_line_of_the_use_case(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    declared = Path(use_cases.__file__).parent / "churn" / "use_case.py"
    trace = (
        f'Traceback:\n  File "/dags/churn.py", line 9\n  File "{declared}", line 12, in <module>\nNameError: Gatte\n'
    )
    fake.import_errors = [{"filename": "churn.py", "stack_trace": trace}]
    assert api.import_errors() == ["use_cases/churn/use_case.py:12: NameError: Gatte"]
