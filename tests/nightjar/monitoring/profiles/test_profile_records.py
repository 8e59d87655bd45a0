from __future__ import annotations

from datetime import date, timedelta
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.lake.lake import Lake
from nightjar.monitoring.night_run import NightRun
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.monitoring.profiles.table import PROFILES_TABLE, profile_rows, read_profiles

FIRST = date(2013, 4, 1)
COLUMNS = [ProfiledColumn("x", "numeric"), ProfiledColumn("c", "categorical")]
REFERENCE = profile_arrays({"x": np.linspace(-50, 50, 500), "c": ["a", "b"] * 250}, COLUMNS)
values = st.floats(-1e3, 1e3) | st.just(float("nan"))
rows = st.lists(st.tuples(values, st.sampled_from(["a", "b", "new", None])), min_size=1, max_size=30)


def profile(of: list[tuple[float, str | None]]) -> Profile:
    return profile_arrays({"x": [x for x, _ in of], "c": [c for _, c in of]}, COLUMNS, REFERENCE)


def store(lake: Lake, night: date, made: Profile, use_case: str = "shop") -> None:
    run = NightRun(night=night, use_case=use_case, run_id="r")
    stored = profile_rows(made, run, model_sha256="ab", model_version="1")
    lake.table(PROFILES_TABLE).replace(stored, [night], use_case=use_case, run_id="r")


@settings(max_examples=15)
@given(st.lists(rows, min_size=1, max_size=4))
def test_stored_nights_add_up_to_all_their_rows(nights: list[list[tuple[float, str | None]]]) -> None:
    """A week is known from its nights: counts and sketches exactly, moments to floating point."""
    days = [FIRST + timedelta(days=i) for i in range(len(nights))]
    with TemporaryDirectory() as folder:
        lake = Lake(folder)
        for day, of_night in zip(days, nights, strict=True):
            store(lake, day, profile(of_night))
        week = merge_all(list(read_profiles(lake, "shop", days).values()))
    whole = profile([row for of_night in nights for row in of_night])
    assert week.rows == whole.rows
    for name, column in whole.columns.items():
        found = week.columns[name]
        for field in ("kind", "rows", "nulls", "counts", "bins", "unlisted", "minimum", "maximum", "sketch"):
            assert getattr(found, field) == getattr(column, field)
        for field in ("mean", "variance"):
            one, two = getattr(found, field), getattr(column, field)
            assert one is two is None or one == pytest.approx(two, rel=1e-9, abs=1e-6)


def test_another_use_case_and_other_nights_are_left_alone(lake: Lake) -> None:
    one, other = profile([(1.0, "a")]), profile([(2.0, "b")])
    assert read_profiles(lake, "shop", [FIRST]) == {}
    store(lake, FIRST, one)
    store(lake, FIRST, other, use_case="churn")
    store(lake, FIRST + timedelta(days=1), one)
    store(lake, FIRST + timedelta(days=1), other)
    found = read_profiles(lake, "shop", [FIRST, FIRST + timedelta(days=1), FIRST + timedelta(days=2)])
    assert found == {FIRST: one, FIRST + timedelta(days=1): other}
