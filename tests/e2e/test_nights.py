"""Nights through the real Airflow: reruns, backfill, and bad input that leaves the last good tables as they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from nightjar.lake import delta, ledger
from nightjar.local import commands, plan
from nightjar.local.airflow_login import USER, admin_password
from use_cases.flight_delay.landing import land

from tests.e2e.conftest import USE_CASE, Deployment

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
    """The night's landed files, put away afterwards."""
    nights = USE_CASE_NIGHTS(night)
    land(nights, f"{deployment.lake}/landing")
    folder = Path(deployment.lake) / "landing" / USE_CASE.name / str(night)
    yield folder
    shutil.rmtree(folder)


def USE_CASE_NIGHTS(night: date) -> object:  # noqa: N802
    from nightjar.contracts.nights import Nights

    return Nights(first=night, last=night, timezone=USE_CASE.timezone)


def test_a_rerun_of_a_night_gives_the_same_rows_to_the_bit(deployment: Deployment) -> None:
    before, rows = versions(deployment.lake), scores_of(deployment.lake, LAST)
    others = scores_of(deployment.lake, date(2013, 4, 2))
    deployment.run(plan.night(USE_CASE, LAST))
    after = versions(deployment.lake)
    assert after[SCORES] == before[SCORES] + 1
    again = scores_of(deployment.lake, LAST)
    assert again.drop_columns(["features_version"]).equals(rows.drop_columns(["features_version"]))
    assert scores_of(deployment.lake, date(2013, 4, 2)).equals(others)
