"""Nights through the real programs, with the lake in an S3 server behind a proxy that fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from tests.nightjar_jobs.nights import NEXT, NIGHT, SCORES, Nights

from nightjar.lake import delta, ledger

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
    history = delta.open_table(failing.lake, SCORES.name).history()
    assert sorted(one["nights"] for one in history if "nights" in one) == [str(NIGHT), str(NEXT)]
    local, there = (len(ledger.read(place.lake, event="publish")) for place in (nights, failing))
    assert there == local
