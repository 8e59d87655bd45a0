"""Nights through the real Airflow: reruns, backfill, and bad input that leaves the last good tables as they were."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from tests.e2e.conftest import USE_CASE, Deployment

from nightjar.contracts.nights import Nights
from nightjar.lake import delta, ledger
from nightjar.local import plan
from nightjar.local.airflow_login import USER, admin_password
from use_cases.flight_delay.landing import land

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(1500)]
LAST = date(2013, 4, 3)
SCORES = USE_CASE.score_table.name
TABLES = (SCORES, "raw/flights", "features/flight_delay")


def versions(lake: str) -> dict[str, int]:
    return {name: delta.open_table(lake, name).version() for name in TABLES}


def scores_of(lake: str, night: date) -> pa.Table:
    table = delta.read_nights(lake, SCORES, [night])
    return table.sort_by([(name, "ascending") for name in USE_CASE.key]).select(sorted(table.column_names))


@contextmanager
def landed(deployment: Deployment, night: date) -> Iterator[Path]:
    """The night's landed files, for a test to damage; put away afterwards."""
    land(Nights(first=night, last=night, timezone=USE_CASE.timezone), f"{deployment.lake}/landing")
    folder = Path(deployment.lake) / "landing" / USE_CASE.name / str(night)
    yield folder
    shutil.rmtree(folder)


def test_a_rerun_of_a_night_changes_nothing(deployment: Deployment) -> None:
    before, rows = versions(deployment.lake), scores_of(deployment.lake, LAST)
    deployment.run(plan.night(USE_CASE, LAST))
    assert scores_of(deployment.lake, LAST).equals(rows)
    assert versions(deployment.lake) == before


def test_a_missing_file_stops_the_night_and_leaves_the_tables(deployment: Deployment) -> None:
    before, night = versions(deployment.lake), date(2013, 4, 10)
    with landed(deployment, night) as folder:
        (folder / "weather.csv").unlink()
        reason = deployment.fail("nightly", "missing_file", {"interval_start": str(night), "interval_end": str(night)})
    for part in ("failed in task ingest", "missing", "where: ", "weather.csv", "how many: 1", "do: "):
        assert part in reason
    assert versions(deployment.lake) == before
    failures = ledger.read(deployment.lake, event="failure").to_pylist()
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
    (event,) = ledger.read(deployment.lake, event="failure", run_id=run_id).to_pylist()
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
    login = {"username": USER, "password": admin_password(deployment.paths.airflow_home)}
    token = requests.post(f"{base}/auth/token", json=login, timeout=30).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert requests.get(address, timeout=30).status_code == 401
    shown = requests.get(address, headers=bearer, timeout=30)
    assert shown.status_code == 200
    assert "<svg" in shown.text
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    for hidden in ("_runs/x", "raw/flights/_delta_log/00000000000000000000.json", "reports/..%2f_runs"):
        assert requests.get(f"{base}/nightjar/files/{hidden}", headers=bearer, timeout=30).status_code == 404
