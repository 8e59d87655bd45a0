"""Runs of nights, and resumed backfills."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightjar.declaration.use_case import load_use_case
from nightjar.local import plan
from nightjar.local.backfill import by_night, is_open, report
from nightjar.local.follow import RunFailedError
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.protocol.errors import ConfigurationError

USE_CASE = load_use_case("flight_delay")
NIGHTS = [date(2013, 3, 9) + timedelta(days=i) for i in range(3)]  # the second has 23 hours
MOMENTS = {plan.run_moment(USE_CASE, night): night for night in NIGHTS}


def test_a_run_belongs_to_the_night_of_its_logical_date_and_a_missing_one_to_none() -> None:
    first, last = (
        {"dag_run_id": name, "logical_date": moment, "state": "success"}
        for name, moment in (("a", "2013-03-09T07:00:00Z"), ("b", "2013-03-11T06:00:00Z"))
    )
    assert by_night([last, first], MOMENTS) == {NIGHTS[0]: first, NIGHTS[1]: None, NIGHTS[2]: last}


def backfill(first: str, last: str, completed_at: str | None = None) -> dict[str, Any]:
    return {"dag_id": "d", "from_date": first, "to_date": last, "completed_at": completed_at}


def test_an_open_backfill_of_the_same_range_is_taken_up_and_one_that_is_complete_is_not() -> None:
    ends = min(MOMENTS), max(MOMENTS)
    assert not is_open(None, USE_CASE, ends)
    assert is_open(backfill("2013-03-09T07:00:00Z", "2013-03-11T06:00:00Z"), USE_CASE, ends)
    assert not is_open(backfill("2013-03-09T07:00:00Z", "2013-03-11T06:00:00Z", "2026-01-01"), USE_CASE, ends)


def test_an_open_backfill_of_other_nights_is_named() -> None:
    other = backfill("2013-04-04T06:00:00Z", "2013-04-06T06:00:00Z")
    with pytest.raises(ConfigurationError, match=r"2013-04-04 to 2013-04-06 is open .*FROM=2013-04-04 TO=2013-04-06"):
        is_open(other, USE_CASE, (min(MOMENTS), max(MOMENTS)))


def test_nights_that_failed_or_have_no_run_are_named(tmp_path: Path) -> None:
    runs = {NIGHTS[0]: {"dag_run_id": "a", "state": "failed"}, NIGHTS[1]: None}
    with pytest.raises(RunFailedError, match=r"2 of 2 nights failed: 2013-03-09, 2013-03-10 \(has no run\)"):
        report(Paths(tmp_path), Progress(), "d", runs)
