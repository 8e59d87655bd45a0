from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from nightjar.declaration.monitoring import Drift
from nightjar.monitoring.drift.comparison import compare
from nightjar.monitoring.drift.windows import compare_windows, merge_nights, window_nights
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn
from nightjar.monitoring.profiles.summarize import profile_arrays

COLUMNS = [ProfiledColumn("x", "numeric")]
NIGHT = date(2013, 6, 30)


@pytest.fixture
def reference() -> Profile:
    return profile_arrays({"x": np.random.default_rng(1).normal(size=20_000)}, COLUMNS)


def nights(reference: Profile, shifts: dict[int, float]) -> dict[date, Profile]:
    """Nights the given days before NIGHT, each shifted."""
    return {
        NIGHT - timedelta(days=days): profile_arrays(
            {"x": np.random.default_rng(days).normal(shift, 1, 900)}, COLUMNS, reference
        )
        for days, shift in shifts.items()
    }


def test_a_change_that_lasts_is_not_new(reference: Profile) -> None:
    known = nights(reference, dict.fromkeys(range(29), 1.0))
    found = compare_windows(NIGHT, known[NIGHT], known, reference, Drift())["x"]
    assert found.week is not None
    assert found.recent is not None
    assert found.weekday is not None
    assert (found.week.nights, found.recent.nights, found.weekday.nights) == (7, 14, 4)
    assert found.week.psi > 0.5 > 0.05 > max(found.recent.psi, found.weekday.psi)


def test_a_change_of_tonight_is_against_all_nights_before(reference: Profile) -> None:
    known = nights(reference, {days: 0.0 if days else 1.0 for days in range(29)})
    found = compare_windows(NIGHT, known[NIGHT], known, reference, Drift())["x"]
    assert found.week is not None
    assert found.recent is not None
    assert found.weekday is not None
    assert min(found.recent.psi, found.weekday.psi) > 0.5 > 0.05 > found.week.psi


def test_a_weekday_that_is_ever_so(reference: Profile) -> None:
    known = nights(reference, {days: 1.0 if days % 7 == 0 else 0.0 for days in range(29)})
    found = compare_windows(NIGHT, known[NIGHT], known, reference, Drift())["x"]
    assert found.recent is not None
    assert found.weekday is not None
    assert found.recent.psi > 0.3 > 0.05 > found.weekday.psi


def test_too_few_nights_say_nothing(reference: Profile) -> None:
    known = nights(reference, {0: 0.0, 1: 0.0, 7: 0.0})
    found = compare_windows(NIGHT, known[NIGHT], known, reference, Drift())["x"]
    assert (found.week, found.recent, found.weekday) == (None, None, None)


def test_nights_in_another_models_bins_are_left_out(reference: Profile) -> None:
    other = profile_arrays({"x": np.random.default_rng(9).normal(5, 1, 20_000)}, COLUMNS)
    known = {**nights(other, dict.fromkeys(range(1, 29), 0.0)), **nights(reference, {0: 0.0})}
    found = compare_windows(NIGHT, known[NIGHT], known, reference, Drift())["x"]
    assert (found.week, found.recent, found.weekday) == (None, None, None)


def test_a_month_is_its_nights(reference: Profile) -> None:
    """From profiles alone, the same as from all of its rows; one night has no label, another is another model's."""
    days = range(30)
    drawn = {NIGHT - timedelta(days=d): np.random.default_rng(d).normal(0.3 if d < 15 else 0, 1, 900) for d in days}
    known = {day: profile_arrays({"x": values}, COLUMNS, reference) for day, values in drawn.items()}
    other = profile_arrays({"x": np.random.default_rng(9).normal(5, 1, 900)}, COLUMNS)
    month = merge_nights({**known, date(2013, 5, 1): other, date(2013, 5, 2): Profile(rows=0)}, reference)
    whole = profile_arrays({"x": np.concatenate(list(drawn.values()))}, COLUMNS, reference)
    found, expected = month.columns["x"], whole.columns["x"]
    assert (found.counts, found.sketch, found.rows) == (expected.counts, expected.sketch, month.rows)
    column = compare(month, reference, Drift(), watched=["x"]).by_name["x"]
    assert column.wasserstein == pytest.approx(0.15, abs=0.03)
    assert column.night.rows == 27_000


def test_a_period_of_the_same_bins_on_other_grids_has_no_sketch(reference: Profile) -> None:
    """0 and 1 have the same bins in any model, and not the same centre and spread."""
    flags = [profile_arrays({"x": np.arange(1000) % steps == 0}, COLUMNS) for steps in (2, 20)]
    merged = merge_nights({NIGHT: flags[0], NIGHT - timedelta(days=1): flags[1]}, flags[0]).columns["x"]
    assert (merged.rows, merged.counts, merged.sketch) == (2000, (0, 1450, 550, 0), None)


def test_the_nights_asked_for_are_those_looked_at() -> None:
    asked = window_nights(NIGHT, Drift(recent_nights=2, same_weekday_weeks=3))
    assert [(NIGHT - night).days for night in asked] == [21, 14, 7, 6, 5, 4, 3, 2, 1]
