from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nightjar.declaration.monitoring import Drift
from nightjar.monitoring.drift.comparison import compare
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.monitoring.profiles.variation import MIN_NIGHTS, with_variation

COLUMNS = [ProfiledColumn("weather", "numeric"), ProfiledColumn("distance", "numeric")]


def night(random: np.random.Generator, mean: float = 10.0) -> dict[str, np.ndarray]:
    """A night's rows share their weather, one figure; their distances are their own."""
    return {"weather": np.full(900, random.normal(mean, 3.0)), "distance": random.gamma(3.0, 300.0, 900)}


def reference_of(nights: list[dict[str, np.ndarray]]) -> tuple[Profile, Profile]:
    """The nights together, without and with what they say about single nights."""
    pooled = {name: np.concatenate([data[name] for data in nights]) for name in nights[0]}
    bins = profile_arrays(pooled, COLUMNS)
    profiles = [profile_arrays(data, COLUMNS, bins) for data in nights]
    assert merge_all(profiles).columns["distance"].counts == bins.columns["distance"].counts
    return bins, with_variation(bins, profiles)


def drifted(reference: Profile, data: dict[str, np.ndarray]) -> list[str]:
    night = profile_arrays(data, COLUMNS, reference)
    result = compare(night, reference, Drift(), watched=[column.name for column in COLUMNS])
    return [column.name for column in result.drifted]


def test_an_ordinary_night_is_not_drift_though_its_rows_share_one_days_weather() -> None:
    random = np.random.default_rng(4)
    plain, varied = reference_of([night(random) for _ in range(60)])
    ordinary = [night(random) for _ in range(40)]
    assert all(drifted(plain, data) == ["weather"] for data in ordinary)
    assert sum(bool(drifted(varied, data)) for data in ordinary) <= 0.05 * len(ordinary)


def test_weather_that_no_night_of_training_had_is_drift() -> None:
    random = np.random.default_rng(4)
    _, varied = reference_of([night(random) for _ in range(60)])
    assert drifted(varied, night(random, mean=40.0)) == ["weather"]


def test_a_column_with_rows_of_their_own_keeps_its_sensitivity() -> None:
    random = np.random.default_rng(4)
    _, varied = reference_of([night(random) for _ in range(60)])
    assert varied.variation["distance"].psi < 0.03
    assert varied.variation["distance"].design_effect == pytest.approx(1.0, abs=0.2)
    assert varied.variation["weather"].design_effect > 100
    longer = night(random)
    longer["distance"] *= 1.6
    assert "distance" in drifted(varied, longer)


def without_weather(data: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The night without the weather of the first ``rows`` rows."""
    return {**data, "weather": np.where(np.arange(900) < rows, np.nan, data["weather"])}


def test_weather_that_is_missing_is_drift_however_much_the_weather_varies() -> None:
    random = np.random.default_rng(4)
    _, varied = reference_of([night(random) for _ in range(60)])
    found = [drifted(varied, without_weather(night(random), 180)) for _ in range(20)]
    assert found == [["weather"]] * 20
    frozen_before = {name: replace(one, missing_psi=None) for name, one in varied.variation.items()}
    whole = replace(varied, variation=frozen_before)
    seen = sum(bool(drifted(whole, without_weather(night(random), 180))) for _ in range(20))
    assert seen <= 4, "in all bins together a fifth is less than the weather varies"


def test_one_broken_night_of_training_hides_no_other() -> None:
    random = np.random.default_rng(4)
    nights = [night(random) for _ in range(60)]
    _, varied = reference_of([*nights[1:], without_weather(nights[0], 900)])
    assert varied.variation["weather"].missing_design_effect == 1.0
    assert drifted(varied, without_weather(night(random), 180)) == ["weather"]


def test_what_is_missing_on_ordinary_nights_is_no_drift() -> None:
    random = np.random.default_rng(4)
    gone = random.integers(0, 300, 100)
    nights = [without_weather(night(random), rows) for rows in gone]
    _, varied = reference_of(nights[:60])
    assert sum(bool(drifted(varied, data)) for data in nights[60:]) <= 0.05 * 40
    assert drifted(varied, without_weather(night(random), 600)) == ["weather"]


def test_few_nights_say_nothing() -> None:
    random = np.random.default_rng(4)
    _, varied = reference_of([night(random) for _ in range(MIN_NIGHTS - 1)])
    assert varied.variation == {}
