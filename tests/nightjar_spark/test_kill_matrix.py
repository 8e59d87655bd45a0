"""The programs that make a night's tables, killed at any moment: each table is as before or as after, and the retry
ends as if nothing had happened. ``make kill-matrix`` runs every case, the tests some, by a seed that they print.
"""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.kill_matrix.victims import Kill, choose, judge, kill

from nightjar.declaration.use_case import load_use_case
from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import LANDING_TABLE, WARNINGS_TABLE
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.nights import Nights
from nightjar.runner import run_program
from nightjar_spark import build_features, ingest
from use_cases.flight_delay.landing import land

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(3600)]
USE_CASE = load_use_case("flight_delay")
FIRST, SECOND = date(2013, 1, 1), date(2013, 1, 2)
PROGRAMS = {"ingest": ingest.run, "build_features": build_features.run}
STEPS = tuple(PROGRAMS)
TABLES = (*USE_CASE.tables, LANDING_TABLE, WARNINGS_TABLE)
Rows = dict[str, Counter[str]]


def spec(lake: str, program: str, night: date) -> JobSpec:
    return JobSpec(
        program=program, use_case=USE_CASE.name, first_night=night, last_night=night, task_id=program,
        dag_id="flight_delay_nightly", run_id=f"night__{night}", lake=lake,
    )  # fmt: skip


def run(spark: SparkSession, lake: str, program: str, night: date) -> JobResult:
    return run_program(lambda given: PROGRAMS[program](spark, given), spec(lake, program, night))


def rows_of(lake: str) -> Rows:
    """Each table that these steps write, as readers see it, as a multiset."""
    found: Rows = {}
    for schema in TABLES:
        if Lake(lake).table(schema).exists():
            table = Lake(lake).table(schema).open().to_pyarrow_table().select(schema.column_names)
            found[schema.name] = Counter(str(row) for row in table.to_pylist())
        else:
            found[schema.name] = Counter()
    return found


def commits_of(lake: str, run_id: str) -> dict[str, int]:
    made: dict[str, int] = {}
    for schema in TABLES:
        if Lake(lake).table(schema).exists():
            history: list[dict[str, Any]] = Lake(lake).table(schema).open().history()
            made[schema.name] = sum(commit.get("dag_run_id") == run_id for commit in history)
    return made


def test_tables_of_a_night_that_is_killed_anywhere_are_made_once(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = str(tmp_path / "base")
    for name, value in (("LAKE", base), ("LANDING", f"{base}/landing")):
        monkeypatch.setenv(f"NIGHTJAR_{name}", value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    land(Nights(first=FIRST, last=SECOND, timezone=USE_CASE.schedule.timezone), f"{base}/landing")
    for step in STEPS:
        assert run(spark, base, step, FIRST).status == "succeeded"
    states, undisturbed = [rows_of(base)], str(tmp_path / "undisturbed")
    shutil.copytree(base, undisturbed)
    for step in STEPS:
        assert run(spark, undisturbed, step, SECOND).status == "succeeded"
        states.append(rows_of(undisturbed))
    once = commits_of(undisturbed, f"night__{SECOND}")
    assert set(once.values()) <= {0, 1}
    assert sum(once.values()) >= 4

    def examine(number: int, case: Kill) -> None:
        lake = str(tmp_path / f"case{number}")
        shutil.copytree(base, lake)
        place = STEPS.index(case.step)
        for step in STEPS[:place]:
            assert run(spark, lake, step, SECOND).status == "succeeded"
        kill(case, spec(lake, case.step, SECOND), tmp_path / "marker")
        before, after = states[place], states[place + 1]
        for name, seen in rows_of(lake).items():
            assert seen in (before[name], after[name]), f"{name} is half there"
        for step in STEPS[place:]:
            result = run(spark, lake, step, SECOND)
            assert result.status == "succeeded", result.error
        assert rows_of(lake) == states[-1], "other rows than undisturbed"
        assert commits_of(lake, f"night__{SECOND}") == once
        shutil.rmtree(lake)

    judge(choose(STEPS, 3), examine)
