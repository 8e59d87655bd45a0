from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from nightjar.monitoring.drift.domain import OWN_NIGHTS, compute_usual_auc, own_nights, row_columns, separate_samples
from nightjar.monitoring.profiles.profile import NightVariation, Profile, ProfiledColumn
from nightjar.monitoring.profiles.sample import Sample
from nightjar.monitoring.profiles.summarize import profile_arrays

NAMES = ["a", "b", "c", "d"]
COLUMNS = [*(ProfiledColumn(name, "numeric") for name in "abc"), ProfiledColumn("d", "categorical")]


def rows(count: int, seed: int, *, correlation: float = 0.0, weather: float = 0.0) -> Sample:
    """Standard normal columns, two of which go correlation, and a category."""
    random = np.random.default_rng(seed)
    a, b, c = random.normal(size=(3, count))
    b = correlation * a + np.sqrt(1 - correlation**2) * b
    return Sample(
        {"a": a.tolist(), "b": b.tolist(), "c": (c + weather).tolist(), "d": random.choice(["x", "y"], count)}
    )


@pytest.fixture(scope="module")
def bins() -> Profile:
    return profile_arrays(rows(4000, 1).columns, COLUMNS)


def test_the_same_distribution_is_not_told_apart(bins: Profile) -> None:
    domain = [separate_samples(rows(4000, 1), rows(1000, seed), bins, NAMES, usual_auc=0.55) for seed in range(2, 8)]
    assert [night_domain.verdict for night_domain in domain if night_domain] == ["stable"] * 6
    assert all(night_domain.auc.low < 0.53 for night_domain in domain if night_domain)


def test_columns_that_go_together_in_another_way_are_found_and_named(bins: Profile) -> None:
    """Each column alone is as it was."""
    domain = separate_samples(rows(4000, 1), rows(1000, 2, correlation=0.9), bins, NAMES, usual_auc=0.6)
    assert domain is not None
    assert domain.verdict == "drift"
    assert domain.auc.low > 0.65
    assert set(list(domain.shares)[:2]) == {"a", "b"}
    assert sum(domain.shares.values()) == pytest.approx(1)
    assert separate_samples(rows(4000, 1), rows(1000, 2, correlation=0.9), bins, NAMES, usual_auc=0.6) == domain


def test_a_new_category_and_missing_values_tell(bins: Profile) -> None:
    night = rows(1000, 2)
    changed = {**night.columns, "d": ["new"] * 1000, "a": [None] * 500 + list(night.columns["a"][500:])}
    domain = separate_samples(rows(4000, 1), Sample(changed), bins, NAMES, usual_auc=None)
    assert domain is not None
    assert (domain.auc.value, domain.verdict, next(iter(domain.shares))) == (1.0, "not_judged", "d")


def test_few_rows_say_nothing(bins: Profile) -> None:
    assert separate_samples(rows(4000, 1), rows(49, 2), bins, NAMES, usual_auc=None) is None


def test_a_night_is_judged_against_the_reference_s_own_nights(bins: Profile) -> None:
    """Nights with different weather are separable; so is this night, and that is not drift."""
    random = np.random.default_rng(3)
    nights = {date(2013, 1, 1) + timedelta(days=i): rows(300, i, weather=float(random.normal(0, 2))) for i in range(14)}
    usual = compute_usual_auc(nights, bins, NAMES)
    assert usual is not None
    assert usual > 0.8 > (compute_usual_auc(nights, bins, ["a", "b", "d"]) or 1.0)
    reference = Sample({name: [v for s in nights.values() for v in s.columns[name]] for name in NAMES})
    tonight = separate_samples(reference, rows(300, 99, weather=1.0), bins, NAMES, usual)
    assert tonight is not None
    assert tonight.verdict == "stable"
    assert compute_usual_auc(dict(list(nights.items())[:OWN_NIGHTS]), bins, NAMES) is None


def test_columns_that_whole_nights_share_are_not_asked(bins: Profile) -> None:
    variation = {
        "a": NightVariation(psi=2.0, design_effect=600.0),  # the weather
        "b": NightVariation(psi=0.3, design_effect=1.2),  # nights of few rows
        "c": NightVariation(psi=0.02, design_effect=9.0),  # nights of many rows
    }
    assert row_columns(replace(bins, variation=variation), NAMES) == ["b", "c", "d"]
    assert row_columns(bins, NAMES) == NAMES


def test_own_nights_are_spread_evenly() -> None:
    nights = [date(2013, 1, 1) + timedelta(days=i) for i in range(90)]
    chosen = own_nights(nights)
    assert (len(chosen), chosen[0], chosen[-1]) == (OWN_NIGHTS, nights[0], nights[-1])
    assert own_nights(nights[:3]) == nights[:3]
