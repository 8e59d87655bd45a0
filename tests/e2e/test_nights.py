"""Nights in the real Airflow: reruns, backfill, and bad input that leaves the last good tables unchanged."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psycopg2
import pyarrow as pa
import pytest
import requests
from tests.e2e.conftest import USE_CASE, Deployment

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_nights
from nightjar.local import commands, plan
from nightjar.local.airflow_login import USER, admin_password
from nightjar.local.backfill import backfill
from nightjar.local.database import PORT
from nightjar.local.database import USER as DATABASE_USER
from nightjar.local.follow import Request
from nightjar.local.state import read_state
from nightjar.protocol.nights import Nights
from use_cases.flight_delay.landing import land

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(1500)]
LAST = date(2013, 4, 3)
NIGHTLY = f"{USE_CASE.name}_nightly"
SCORES = USE_CASE.score_table.name
TABLES = (SCORES, "raw/flights", "features/flight_delay")


def versions(lake: str) -> dict[str, int]:
    return {name: Lake(lake).open_table(name).version() for name in TABLES}


def scores_of(lake: str, night: date) -> pa.Table:
    table = read_nights(Lake(lake).open_table(SCORES), [night])
    return table.sort_by([(name, "ascending") for name in USE_CASE.key]).select(sorted(table.column_names))


def bearer(deployment: Deployment) -> dict[str, str]:
    """Return the header of a logged-in user."""
    login = {"username": USER, "password": admin_password(deployment.paths.airflow_home)}
    answer = requests.post(f"{deployment.session.ports.airflow_url}/auth/token", json=login, timeout=30)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@contextmanager
def landed(deployment: Deployment, night: date) -> Iterator[Path]:
    """The night's landed files, for a test to damage; restored afterwards."""
    land(Nights(first=night, last=night, timezone=USE_CASE.schedule.timezone), f"{deployment.lake}/landing")
    folder = Path(deployment.lake) / "landing" / USE_CASE.name / str(night)
    yield folder
    shutil.rmtree(folder)


def test_nights_of_the_past_that_a_person_asks_for_have_no_deadline(deployment: Deployment) -> None:
    sockets = read_state(deployment.paths.run_file).sockets  # type: ignore[union-attr]
    with psycopg2.connect(host=sockets, port=PORT, user=DATABASE_USER, dbname="airflow") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM dag_run")
        assert cursor.fetchone()[0] >= 5
        deadlines = "SELECT count(*) FROM deadline JOIN dag_run ON dagrun_id = dag_run.id WHERE run_type != 'scheduled'"
        cursor.execute(deadlines)
        assert cursor.fetchone()[0] == 0


def test_a_rerun_of_a_night_changes_nothing(deployment: Deployment) -> None:
    before, rows = versions(deployment.lake), scores_of(deployment.lake, LAST)
    deployment.run(plan.night(USE_CASE, LAST))
    assert scores_of(deployment.lake, LAST).equals(rows)
    assert versions(deployment.lake) == before


def test_a_backfill_runs_missing_nights_and_one_of_them_can_be_rerun(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    night, before = date(2013, 4, 4), scores_of(deployment.lake, LAST)
    backfill(deployment.paths, USE_CASE, str(LAST), str(night))
    assert re.findall(r"^(2013-04-0\d) +\d+", capsys.readouterr().out, re.MULTILINE) == [str(LAST), str(night)]
    assert scores_of(deployment.lake, LAST).equals(before)
    rows = scores_of(deployment.lake, night)
    assert rows.num_rows == read_nights(Lake(deployment.lake).open_table("raw/schedule"), [night]).num_rows > 800
    assert set(rows["dag_run_id"].unique().to_pylist()) == {
        run["dag_run_id"]
        for run in deployment.session.api.runs_between(NIGHTLY, *[plan.run_moment(USE_CASE, night)] * 2)
    }
    backfill(deployment.paths, USE_CASE, str(LAST), str(night))  # all is there: nothing is run
    commands.night(deployment.paths, USE_CASE, str(night))  # the backfill's run, under its own id
    assert scores_of(deployment.lake, night).equals(rows)


def test_a_backfill_is_created_whole_while_the_tasks_of_a_night_run(deployment: Deployment) -> None:
    api, request, rows = deployment.session.api, plan.night(USE_CASE, LAST), scores_of(deployment.lake, LAST)
    first, last = (plan.run_moment(USE_CASE, night) for night in (date(2013, 4, 20), date(2013, 4, 29)))
    api.clear(request.dag_id, request.run_id)
    while not any(task.state == "running" for task in api.tasks(request.dag_id, request.run_id)):
        time.sleep(0.2)
    paused = {"json": {"is_paused": True}, "params": {"update_mask": "is_paused"}}
    api._call("PATCH", f"/dags/{NIGHTLY}", **paused)  # the backfill's own nights need not run
    try:
        api.create_backfill(NIGHTLY, first, last)
        created = api.latest_backfill(NIGHTLY)
        assert created is not None
        assert len(api.runs_between(NIGHTLY, first, last)) == 10
        api._call("PUT", f"/backfills/{created['id']}/cancel")
    finally:
        api.unpause(NIGHTLY)
    deployment.session.follower.wait(request)
    assert scores_of(deployment.lake, LAST).equals(rows)


def test_maintenance_puts_the_ledger_together_and_takes_nothing_from_readers(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    before, events = scores_of(deployment.lake, LAST), ledger.read(Lake(deployment.lake))
    commands.maintain(deployment.paths)
    found = re.search(rf"^{ledger.TABLE.name} +\d+ +(\d+) +(\d+) +0$", capsys.readouterr().out, re.MULTILINE)
    assert found is not None
    nights, compacted = (int(number) for number in found.groups())
    assert compacted > nights >= 1
    assert scores_of(deployment.lake, LAST).equals(before)
    assert ledger.read(Lake(deployment.lake)).slice(0, len(events)).equals(events)
    maintained = ledger.read(Lake(deployment.lake), event="maintenance")["use_case"].to_pylist()
    assert sorted(maintained) == plan.known_use_cases()


@pytest.mark.parametrize(
    ("request_", "task", "name", "begins"),
    [
        (plan.night(USE_CASE, LAST), "report_drift", "Report", f"/nightjar/files/reports/{USE_CASE.name}/{LAST}/"),
        (plan.night(USE_CASE, LAST), "ingest", "Data Docs", f"/nightjar/files/data_docs/{USE_CASE.name}/"),
        (plan.night(USE_CASE, LAST), "report_performance", "Performance", f"/nightjar/files/reports/{USE_CASE.name}/"),
        (plan.night(USE_CASE, LAST), "validate_features", "Data Docs", f"/nightjar/files/data_docs/{USE_CASE.name}/"),
        (plan.training(USE_CASE, *plan.first_history(USE_CASE)), "register", "MLflow model", "http://127.0.0.1:"),
        (plan.training(USE_CASE, *plan.first_history(USE_CASE)), "promote", "MLflow run", "http://127.0.0.1:"),
    ],
)
def test_tasks_link_to_what_they_made(
    deployment: Deployment, request_: Request, task: str, name: str, begins: str
) -> None:
    run = f"{deployment.session.ports.airflow_url}/api/v2/dags/{request_.dag_id}/dagRuns/{request_.run_id}"
    links = requests.get(f"{run}/taskInstances/{task}/links", headers=bearer(deployment), timeout=30).json()
    address = links["extra_links"][name]
    assert address.startswith(begins), links
    if address.startswith("/"):
        page = requests.get(f"{deployment.session.ports.airflow_url}{address}", headers=bearer(deployment), timeout=30)
        assert page.status_code == 200
        assert "<title>Airflow</title>" not in page.text, "Airflow answers an unknown address with its own page"


def test_a_missing_file_stops_the_night_and_leaves_the_tables(deployment: Deployment) -> None:
    before, night = versions(deployment.lake), date(2013, 4, 10)
    with landed(deployment, night) as folder:
        (folder / "weather.csv").unlink()
        reason = deployment.fail("nightly", "missing_file", {"interval_start": str(night), "interval_end": str(night)})
    for part in ("failed in task ingest", "missing", "where: ", "weather.csv", "how many: 1", "do: "):
        assert part in reason
    assert versions(deployment.lake) == before
    failures = ledger.read(Lake(deployment.lake), event="failure").to_pylist()
    assert any(event["run_id"] == "missing_file" and event["task_id"] == "ingest" for event in failures)


@pytest.mark.parametrize(
    ("run_id", "conf", "message"),
    [
        ("unknown_param", {"colour": "red"}, "unknown param colour"),
        ("half_interval", {"interval_start": "2013-04-01"}, "interval_start is given without interval_end"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused_at_once(
    deployment: Deployment, run_id: str, conf: dict[str, str], message: str
) -> None:
    before = versions(deployment.lake)
    reason = deployment.fail("nightly", run_id, conf)
    assert message in reason
    assert "failed in task start_spark" in reason
    assert versions(deployment.lake) == before
    (event,) = ledger.read(Lake(deployment.lake), event="failure", run_id=run_id).to_pylist()
    assert event["task_id"] == "start_spark"
    assert message in event["reason"]


def test_a_night_in_the_future_is_refused(deployment: Deployment) -> None:
    reason = deployment.fail("nightly", "future", {"interval_start": "2099-01-01", "interval_end": "2099-01-01"})
    assert "failed in task start_spark" in reason
    assert "reaches into the future" in reason
    assert "do: choose nights whose day has ended" in reason


def test_reports_are_shown_to_those_who_are_logged_in_and_to_nobody_else(deployment: Deployment) -> None:
    base = deployment.session.ports.airflow_url
    address = f"{base}/nightjar/files/reports/{USE_CASE.name}/{LAST}/drift.html"
    logged_in = bearer(deployment)
    assert requests.get(address, timeout=30).status_code == 401
    shown = requests.get(address, headers=logged_in, timeout=30)
    assert shown.status_code == 200
    assert "<svg" in shown.text
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    for hidden in ("_runs/x", "raw/flights/_delta_log/00000000000000000000.json", "reports/..%2f_runs"):
        assert requests.get(f"{base}/nightjar/files/{hidden}", headers=logged_in, timeout=30).status_code == 404
