"""Nights through the real programs, with the lake in an S3 server behind a proxy that fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.kill_matrix.victims import Kill, kill
from tests.nightjar_jobs.nights import NEXT, NIGHT, SCORES, Nights

from nightjar.lake import ledger
from nightjar.lake.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.e2e, pytest.mark.spark]
OWN = ("scored_at", "features_version")  # the creation of an empty table may count twice


def test_nights_in_a_store_that_fails_a_tenth_of_its_calls_give_the_same_rows_once(
    nights: Nights,
    versions: list[str],
    spark: SparkSession,
    store: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = Nights(spark, store(share=0.1, lost_commits=0.3))
    for name in [name for name in os.environ if name.startswith("AWS_")]:  # for Spark's Python workers
        monkeypatch.setitem(spark.sparkContext.environment, name, os.environ[name])
    nights.features(NEXT)
    for night in (NIGHT, NEXT):
        failing.features(night)
    for place in (nights, failing):
        for night in (NIGHT, NEXT, NIGHT):  # the first one is cleared, and gives the same rows
            result = place.whole(night=night, run_id=str(night))
            assert result.status == "succeeded", result.error

    def rows(place: Nights, night: date) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name not in OWN} for row in place.scores(night)]

    for night in (NIGHT, NEXT):
        assert rows(failing, night) == rows(nights, night)
        assert len(rows(failing, night)) == 200
    history = Lake(failing.lake).table(SCORES).open().history()
    assert sorted(entry["nights"] for entry in history if "nights" in entry) == [str(NIGHT), str(NEXT)]
    local, there = (len(ledger.read(Lake(place.lake), event="publish")) for place in (nights, failing))
    assert there == local


@pytest.mark.parametrize(
    ("step", "moment"),
    [("score", "among the files"), ("publish_scores", "between two commits"), ("publish_scores", "before the commit")],
)
def test_a_night_killed_on_a_store_that_fails_is_published_once_with_the_rows_of_an_undisturbed_one(
    nights: Nights, versions: list[str], spark: SparkSession, store: Callable[..., str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, step: str, moment: str,
) -> None:  # fmt: skip
    assert nights.whole().status == "succeeded"
    failing = Nights(spark, store(share=0.1, lost_commits=0.3))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.setitem(spark.sparkContext.environment, name, os.environ[name])
    failing.features(NIGHT)
    order = ["score", "validate_scores", "publish_scores"]
    for earlier in order[: order.index(step)]:
        assert failing.run(earlier).status == "succeeded"
    case = Kill(step, moment, signal.SIGKILL)
    kill(case, failing.spec(step), tmp_path / "marker")
    result = failing.run(*order[order.index(step) :])
    assert result.status == "succeeded", result.error
    rows, undisturbed = failing.scores(), nights.scores()
    same = [name for name in rows[0] if name not in OWN]
    assert [[row[name] for name in same] for row in rows] == [[row[name] for name in same] for row in undisturbed]
    history = Lake(failing.lake).table(SCORES).open().history()
    assert [entry["nights"] for entry in history if "nights" in entry] == [str(NIGHT)]
    assert len(ledger.read(Lake(failing.lake), event="publish")) == 1
