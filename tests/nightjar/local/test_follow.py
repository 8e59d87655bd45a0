"""The follower of runs and backfills, against a small HTTP server that answers like Airflow."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.nightjar.local.fake_airflow import NIGHT, START, FakeAirflow, make_follower, make_run

from nightjar.local.airflow_api import AirflowApi, Task
from nightjar.local.follow import Request, RunFailedError, describe
from nightjar.protocol.errors import UnreachableError

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_a_new_run_is_triggered_with_its_interval_and_followed(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.states = ["running", "success"]
    assert make_follower(api).ensure(NIGHT)
    triggered = next(body for method, path, body in fake.asked if method == "POST" and path.endswith("/dagRuns"))
    assert triggered == {
        "dag_run_id": "night__2013-04-01",
        "logical_date": "2013-04-01T06:00:00+00:00",
        "data_interval_start": "2013-04-01T06:00:00+00:00",
        "data_interval_end": "2013-04-02T06:00:00+00:00",
        "conf": {},
    }


def test_a_run_that_succeeded_is_left_alone_unless_it_is_wanted_again(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run = "success"
    assert not make_follower(api).ensure(NIGHT)
    assert not [path for _, path, _ in fake.asked if path.endswith("/clear")]
    fake.states = ["success", "running", "success"]
    assert make_follower(api).ensure(NIGHT, again=True)
    assert [body for _, path, body in fake.asked if path.endswith("/clear")] == [
        {"dry_run": False, "only_failed": False}
    ]


def test_a_failed_run_is_cleared_and_one_that_goes_on_is_only_followed(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run, fake.states = "failed", ["failed", "running", "success"]
    assert make_follower(api).ensure(NIGHT)
    assert [path for _, path, _ in fake.asked if path.endswith("/clear")]
    fake.asked.clear()
    fake.run, fake.states = "running", ["running", "success"]
    assert make_follower(api).ensure(NIGHT)
    assert not [path for method, path, _ in fake.asked if method == "POST" and path != "/auth/token"]


def test_a_run_that_was_cut_off_with_its_servers_is_cleared(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run, fake.states = "running", ["running", "running", "success"]
    assert make_follower(api, fresh=True).ensure(NIGHT)
    assert len([path for _, path, _ in fake.asked if path.endswith("/clear")]) == 1


@pytest.mark.parametrize("prefix", ["backfill", "scheduled"])
def test_a_night_that_another_run_has_made_is_found_under_its_id(
    airflow: tuple[FakeAirflow, AirflowApi], prefix: str
) -> None:
    fake, api = airflow
    assert make_follower(api).find(NIGHT) == NIGHT
    fake.runs = [make_run(-1, prefix=prefix), make_run(0, prefix=prefix), make_run(1, prefix=prefix)]
    assert make_follower(api).find(NIGHT) == replace(NIGHT, run_id=f"{prefix}__0")
    without_moment = Request(title="history", dag_id="d", run_id="history")
    assert make_follower(api).find(without_moment) == without_moment


def test_a_backfill_is_over_when_it_is_complete_and_its_runs_have_ended(
    airflow: tuple[FakeAirflow, AirflowApi],
) -> None:
    fake, api = airflow
    ends = START, START + timedelta(days=1)
    fake.backfills = [{"completed_at": None}, {"completed_at": None}, {"completed_at": "2026-01-01T00:00:00Z"}]
    fake.runs = [make_run(0), make_run(1, "failed"), make_run(2, "running")]
    assert make_follower(api).wait_backfill("d", *ends) == fake.runs[:2]
    assert fake.backfills == []


def test_only_runs_of_the_range_that_were_cut_off_are_taken_up(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.runs = [make_run(0), make_run(1, "running"), make_run(2, "queued"), make_run(3, "running")]
    ends = START, START + timedelta(days=2)
    make_follower(api).take_up("d", *ends)
    assert not [path for _, path, _ in fake.asked if path.endswith("/clear")]
    make_follower(api, fresh=True).take_up("d", *ends)
    assert [path for _, path, _ in fake.asked if path.endswith("/clear")] == [
        "/api/v2/dags/d/dagRuns/backfill__1/clear"
    ]


def test_a_failure_ends_with_the_failing_tasks_last_log_line(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run, fake.states, fake.task_states = "running", ["failed"], {"land": "success", "ingest": "failed"}
    with pytest.raises(RunFailedError) as error:
        make_follower(api).wait(NIGHT)
    assert str(error.value) == (
        "night 2013-04-01 failed in task ingest: flights.csv is missing | where: x | how many: 1 | do: land"
    )


def test_a_task_that_will_be_tried_again_says_why_once(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run, fake.states, fake.task_states = "running", ["running", "running", "success"], {"ingest": "up_for_retry"}
    out = io.StringIO()
    make_follower(api, out).wait(NIGHT)
    assert out.getvalue().count("ingest failed and will be retried: flights.csv is missing") == 1


def test_a_dag_that_cannot_be_imported_is_reported_at_once(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.has_dag = False
    fake.import_errors = [
        {"filename": "flight_delay.py", "stack_trace": "Traceback\n  …\nImportError: no module named x\n"}
    ]
    with pytest.raises(UnreachableError, match=r"no DAG d: flight_delay.py: ImportError: no module named x"):
        make_follower(api).wait_parsed(("d",))


def test_what_runs_is_described_with_its_seconds() -> None:
    tasks = [
        Task(task_id="land", state="success", try_number=1, started=START),
        Task(task_id="score", state="running", try_number=1, started=START),
        Task(task_id="stop_spark", state=None, try_number=0, started=None),
    ]
    assert describe("night", tasks, START.replace(second=12)) == ("night: score", "12 s, 1 of 3 tasks done")
    assert describe("night", tasks[:1], START) == ("night: between tasks", "1 of 1 tasks done")
