"""Scoring with models of a real MLflow server: which model speaks, what a rerun gives, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.use_case import load_use_case
from nightjar.lake import delta, ledger
from nightjar.lake.parquet import write_files
from nightjar.registry import models
from nightjar.runner import run_program
from nightjar_jobs import evaluate, register
from nightjar_spark import publish_scores, score, validate_scores
from nightjar_spark.worker_errors import from_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.e2e, pytest.mark.spark]
USE_CASE = load_use_case("flight_delay")
FEATURES, SCORES = USE_CASE.feature_table, USE_CASE.score_table
NIGHT, NEXT = date(2013, 4, 1), date(2013, 4, 2)
PROGRAMS = {"score": score.run, "validate_scores": validate_scores.run, "publish_scores": publish_scores.run}


class Nights:
    """Nightly runs on a lake of their own, with the registry of the training lake."""

    def __init__(self, spark: SparkSession, lake: str) -> None:
        self.spark, self.lake = spark, lake

    def features(self, night: date, *, rows: int = 200, **first_row: float) -> None:
        """Write the night's features: plain numbers, and ``first_row`` in the first one."""
        schema = delta.arrow_schema(FEATURES)
        plain: dict[str, Any] = {"string": "AA", "double": 0.5, "date": night + timedelta(days=1)}
        columns = {c.name: plain.get(c.type) for c in FEATURES.columns}
        columns |= {"ds": night, "scheduled_departure": datetime.combine(night, time(12), UTC) + timedelta(days=1)}
        lines = [{**columns, "flight": i, **(first_row if i == 0 else {})} for i in range(rows)]
        table = pa.Table.from_pylist(lines, schema=schema)
        written = write_files(iter(table.to_batches()), delta.table_uri(self.lake, FEATURES.name), schema, ("ds",))
        delta.commit(self.lake, FEATURES, written, [night], run_id="r")

    def run(self, *programs: str, night: date = NIGHT, run_id: str = "a", **params: Any) -> JobResult:
        """Run programs of one nightly run in order; return the last one's result."""
        for program in programs:
            spec = JobSpec(
                program=program, use_case=USE_CASE.name, first_night=night, last_night=night, task_id=program,
                dag_id="flight_delay_nightly", run_id=run_id, lake=self.lake, params=params,
            )  # fmt: skip

            def in_spark(given: JobSpec, name: str = program) -> JobResult:
                with from_workers():
                    return PROGRAMS[name](self.spark, given)

            result = run_program(in_spark, spec)
        return result

    def whole(self, **wanted: Any) -> JobResult:
        return self.run("score", "validate_scores", "publish_scores", **wanted)

    def scores(self, night: date = NIGHT) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = delta.read_nights(self.lake, SCORES.name, [night]).to_pylist()
        return sorted(rows, key=lambda row: row["flight"])

    def quarantined(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = delta.read_nights(self.lake, USE_CASE.quarantine_table.name, [NIGHT]).to_pylist()
        return rows


@pytest.fixture
def nights(spark: SparkSession, lake: str, registry: str) -> Nights:
    made = Nights(spark, lake)
    made.features(NIGHT)
    return made


@pytest.fixture
def versions(trained: Any, new_run: Callable[..., Any], registry: str, request: pytest.FixtureRequest) -> list[str]:
    """Two registered versions, of which the first is champion."""
    found = []
    for name in ("first", "second"):
        run = new_run(f"{request.node.name}-{name}")
        run.adopt(trained, "freeze_training_set", "train")
        trained_here = run.result("train")
        other = replace(trained_here, spec_fingerprint=f"{name}{trained_here.spec_fingerprint}")
        Path(f"{run.spec('train').output}/result.json").write_text(other.to_json())
        run_program(evaluate.run, run.spec("evaluate"))
        found.append(str(run_program(register.run, run.spec("register")).values["model_version"]))
    assert len(set(found)) == 2
    models.set_champion(models.resolve(USE_CASE.name, found[0]))
    return found


def test_without_a_champion_scoring_says_so_and_writes_nothing(nights: Nights) -> None:
    result = nights.run("score")
    assert (result.status, result.error_kind, result.retryable) == ("failed", "model", False)
    assert "flight_delay has no champion | where: http" in result.error
    assert "do: run the DAG flight_delay_training" in result.error
    assert not delta.table_exists(nights.lake, SCORES.name)
    (event,) = ledger.read(nights.lake, event="failure").to_pylist()
    assert (event["task_id"], event["reason"]) == ("score", result.error)


def test_an_mlflow_that_is_away_is_worth_a_retry(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = nights.run("score")
    assert (result.status, result.error_kind, result.retryable) == ("failed", "unreachable", True)
    assert "MLflow does not answer" in result.error
    assert not delta.table_exists(nights.lake, SCORES.name)
    assert ledger.read(nights.lake, event="failure").num_rows == 1


def test_a_night_without_features_is_named(nights: Nights, versions: list[str]) -> None:
    result = nights.run("score", night=NEXT)
    assert (result.status, result.error_kind) == ("failed", "source")
    assert "there are no features of 2013-04-02 | where: features/flight_delay | how many: 1" in result.error


def test_every_row_says_who_spoke_and_which_features_were_read(nights: Nights, versions: list[str]) -> None:
    published = nights.whole()
    assert published.status == "succeeded", published.error
    rows = nights.scores()
    assert len(rows) == published.rows_out == 200
    assert {(r["model_version"], r["features_version"], r["dag_run_id"]) for r in rows} == {(versions[0], 1, "a")}
    assert all(0 < row["prediction"] < 1 for row in rows)
    assert all(row["decision"] == (row["prediction"] >= 80 / 280) for row in rows)  # the use case's costs


def test_a_cleared_run_gives_the_same_rows_after_a_later_night_and_a_promotion(
    nights: Nights, versions: list[str]
) -> None:
    first = nights.whole()
    before = nights.scores()
    nights.features(NEXT)
    models.set_champion(models.resolve(USE_CASE.name, versions[1]))
    again = nights.whole()
    assert (again.outputs, again.values["committed"]) == (first.outputs, False)
    assert nights.scores() == before
    nights.whole(night=NEXT, run_id="b")
    assert {row["model_version"] for row in nights.scores(NEXT)} == {versions[1]}
    nights.whole(force=True)
    assert {row["model_version"] for row in nights.scores()} == {versions[1]}


def test_a_run_that_has_not_published_takes_the_champion_of_now(nights: Nights, versions: list[str]) -> None:
    assert nights.run("score").values["speaker"]["version"] == versions[0]
    models.set_champion(models.resolve(USE_CASE.name, versions[1]))
    assert nights.run("score").values["speaker"]["version"] == versions[1]


def test_features_that_changed_are_read_again(nights: Nights, versions: list[str]) -> None:
    nights.whole()
    nights.features(NIGHT, rows=201)
    nights.whole()
    assert {row["features_version"] for row in nights.scores()} == {2}
    assert len(nights.scores()) == 201


def test_a_row_that_the_model_cannot_take_goes_to_quarantine_and_leaves_it_when_mended(
    nights: Nights, versions: list[str]
) -> None:
    nights.features(NIGHT, distance=float("inf"))
    result = nights.run("score")
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (200, 199, 1)
    (row,) = nights.quarantined()
    assert (row["table"], row["rules"]) == (FEATURES.name, ["input_is_finite"])
    assert json.loads(row["row"])["flight"] == 0
    nights.features(NIGHT)
    assert nights.run("score").rows_rejected == 0
    assert nights.quarantined() == []


def test_too_many_rows_that_the_model_cannot_take_stop_the_night(nights: Nights, versions: list[str]) -> None:
    nights.whole()
    before = nights.scores()
    nights.features(NIGHT, rows=20, distance=float("inf"))
    result = nights.run("score")
    assert (result.status, result.error_kind) == ("failed", "contract")
    assert "the model cannot take 1 of 20 rows (allowed share 0.01)" in result.error
    assert len(nights.quarantined()) == 1
    assert nights.scores() == before


def test_a_model_that_was_altered_in_the_lake_is_put_right_from_the_registry(
    nights: Nights, versions: list[str]
) -> None:
    folder = Path(nights.run("score").values["speaker"]["folder"])
    (folder / "boosting.ubj").write_bytes(b"spoilt")
    assert nights.run("score").status == "succeeded"
