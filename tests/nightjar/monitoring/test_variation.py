from __future__ import annotations

import numpy as np
import pytest

from nightjar.contracts.monitoring import Drift
from nightjar.monitoring.drift import compare
from nightjar.monitoring.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.summarize import profile_arrays
from nightjar.monitoring.variation import MIN_NIGHTS, with_variation

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


def test_few_nights_say_nothing() -> None:
    random = np.random.default_rng(4)
    _, varied = reference_of([night(random) for _ in range(MIN_NIGHTS - 1)])
    assert varied.variation == {}
