"""The laws of judging experiments, by simulation with fixed seeds: how often it is wrong, and what it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.nightjar.declaration.test_experiment import EXPERIMENT

from nightjar.declaration.experiment import Experiment, FixedHorizon, Sequential
from nightjar.monitoring.experiments.analysis import (
    Moments,
    Night,
    analyse,
    find_stalled_nights,
    half_width,
    mismatch_p,
)

FIRST = date(2013, 4, 1)
HALVES = replace(EXPERIMENT, variants={"champion": 0.5, "challenger": 0.5})
Draw = Callable[[np.random.Generator, int], np.ndarray]


def moments(values: np.ndarray) -> Moments:
    if not len(values):
        return Moments()
    return Moments(units=len(values), mean=float(values.mean()), squares=float(values.var() * len(values)))


def simulate(
    seed: int, *, nights: int, units: int, champion: Draw, challenger: Draw, share: float = 0.5, kept: float = 1.0
) -> list[Night]:
    """Nights of ``units`` units each; of the challenger's, the share ``kept`` has a label."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(nights):
        theirs = random.binomial(units, share)
        seen = random.binomial(theirs, kept)
        values = {"champion": champion(random, units - theirs), "challenger": challenger(random, seen)}
        found.append(Night(night=FIRST + timedelta(days=i), moments={v: moments(x) for v, x in values.items()}))
    return found


def late(rate: float) -> Draw:
    """Labels, 1 with the given rate."""
    return lambda random, count: (random.random(count) < rate).astype(float)


def verdict(experiment: Experiment, nights: Sequence[Night]) -> str:
    return analyse(experiment, nights).comparisons[0].verdict


@given(st.lists(st.lists(st.floats(-1e3, 1e3), max_size=20), min_size=1, max_size=6))
def test_moments_add_up_to_those_of_all_values(groups: list[list[float]]) -> None:
    together = Moments()
    for group in groups:
        together += moments(np.array(group))
    values = np.concatenate([np.array(group) for group in groups])
    assert together.units == len(values)
    if len(values):
        assert together.mean == pytest.approx(values.mean(), abs=1e-9)
        assert together.squares == pytest.approx(values.var() * len(values), abs=1e-4)


def test_whoever_looks_every_night_is_wrong_no_more_often_than_declared() -> None:
    sequential = replace(HALVES, design=Sequential(effect=0.02, alpha=0.05))
    peeked = replace(HALVES, design=FixedHorizon(units=1, alpha=0.05))
    wrong, naive, runs = 0, 0, 400
    for seed in range(runs):
        nights = simulate(seed, nights=60, units=600, champion=late(0.2), challenger=late(0.2))
        wrong += verdict(sequential, nights) in {"higher", "lower"}
        whole = [
            analyse(replace(peeked, design=FixedHorizon(units=600 * i, alpha=0.05)), nights).comparisons[0].decided_on
            for i in range(1, 60, 6)
        ]
        naive += any(whole)
    assert wrong / runs <= 0.05 + 0.02
    assert naive / runs > 0.12, "looking at a fixed design again and again would have been as good"


def test_the_interval_holds_the_truth_on_all_nights_at_once() -> None:
    sequential = replace(HALVES, design=Sequential(effect=0.03, alpha=0.05))
    missed = 0
    for seed in range(300):
        nights = simulate(seed, nights=40, units=500, champion=late(0.2), challenger=late(0.23))
        path = analyse(sequential, nights).comparisons[0].path
        missed += any(not interval.low <= 0.03 <= interval.high for interval in path)
    assert missed / 300 <= 0.05 + 0.025


def test_a_fixed_horizon_is_wrong_as_often_as_declared_and_sees_what_it_was_made_for() -> None:
    fixed = replace(HALVES, design=FixedHorizon(units=20_000, alpha=0.05))
    same = [
        verdict(fixed, simulate(s, nights=20, units=1000, champion=late(0.2), challenger=late(0.2))) for s in range(600)
    ]
    assert 0.03 < 1 - same.count("undecided") / 600 < 0.075
    other = [
        verdict(fixed, simulate(s, nights=20, units=1000, champion=late(0.2), challenger=late(0.217)))
        for s in range(300)
    ]
    # two-sided z test: 0.017 / sqrt(0.2*0.8/1e4 + 0.217*0.783/1e4) = 2.95 standard errors, power 0.84
    assert 0.78 < other.count("higher") / 300 < 0.90


def test_a_sequential_design_sees_a_difference_of_its_size() -> None:
    sequential = replace(HALVES, design=Sequential(effect=0.02))
    seen = [
        verdict(sequential, simulate(s, nights=60, units=1000, champion=late(0.2), challenger=late(0.18)))
        for s in range(200)
    ]
    assert seen.count("lower") / 200 > 0.9
    assert "higher" not in seen


@given(seed=st.integers(0, 10_000), more=st.integers(0, 10), units=st.integers(200, 3000))
def test_nights_after_the_horizon_change_nothing(seed: int, more: int, units: int) -> None:
    fixed = replace(HALVES, design=FixedHorizon(units=units))
    nights = simulate(seed, nights=10 + more, units=300, champion=late(0.2), challenger=late(0.3))
    assert analyse(fixed, nights) == analyse(fixed, nights[:10])


@given(seed=st.integers(0, 10_000))
def test_a_sequential_decision_stands(seed: int) -> None:
    sequential = replace(HALVES, design=Sequential(effect=0.05))
    nights = simulate(seed, nights=12, units=400, champion=late(0.2), challenger=late(0.28))
    found = [analyse(sequential, nights[: i + 1]).comparisons[0] for i in range(12)]
    decided = [result.decided_on for result in found if result.decided_on]
    assert len(set(decided)) <= 1
    assert found[-1].path[: len(found[5].path)] == found[5].path


def test_before_the_horizon_nothing_is_shown() -> None:
    fixed = replace(HALVES, design=FixedHorizon(units=10_000))
    (result,) = analyse(fixed, simulate(1, nights=5, units=1000, champion=late(0.1), challenger=late(0.9))).comparisons
    assert (result.verdict, result.path, result.decided_on) == ("running", (), None)
    (none,) = analyse(fixed, []).comparisons
    assert none.verdict == "no_data"


def test_small_variants_have_no_interval() -> None:
    sequential = replace(EXPERIMENT, variants={"champion": 0.9, "challenger": 0.1}, design=Sequential(effect=0.1))
    nights = simulate(1, nights=3, units=200, share=0.1, champion=late(0.0), challenger=late(1.0))
    (result,) = analyse(sequential, nights).comparisons
    assert (result.verdict, result.path) == ("running", ())


def test_a_split_as_declared_is_seldom_called_a_mismatch_however_often_it_is_looked_at() -> None:
    false = 0
    for seed in range(500):
        nights = simulate(seed, nights=60, units=500, champion=late(0.2), challenger=late(0.2))
        false += verdict(replace(HALVES, design=Sequential(effect=0.02)), nights) == "mismatch"
    assert false <= 2  # at most 0.001 of them


def test_a_variant_that_loses_units_is_a_mismatch_whatever_it_seems_to_show() -> None:
    nights = simulate(1, nights=40, units=2000, champion=late(0.2), challenger=late(0.1), kept=0.95)
    assert verdict(replace(HALVES, design=Sequential(effect=0.02)), nights) == "mismatch"
    assert mismatch_p(HALVES, []) == 1.0


def test_several_challengers_share_the_probability_of_error() -> None:
    for design in (FixedHorizon(units=100, alpha=0.05), Sequential(effect=0.1, alpha=0.05)):
        result = replace(design, alpha=0.025)
        assert half_width(design, 0.01, challengers=2) == pytest.approx(half_width(result, 0.01, challengers=1))


def test_the_sequential_interval_is_the_one_of_the_mixture_likelihood_ratio() -> None:
    """At its ends the ratio N(0, v + t) to N(0, v), of the difference seen, is 1 / alpha."""
    from scipy.stats import norm

    v, t, alpha = 0.003, 0.02**2, 0.05
    end = half_width(Sequential(effect=0.02, alpha=alpha), v, challengers=1)
    ratio = norm.pdf(end, scale=np.sqrt(v + t)) / norm.pdf(end, scale=np.sqrt(v))
    assert ratio == pytest.approx(1 / alpha)


@pytest.mark.parametrize(
    ("units", "stalled"),
    [
        ([], 0),
        ([1000], 0),
        ([1000, 0], 0),
        ([1000, 0, 0], 2),
        ([1000, 800, 0, 5, 0, 0], 4),
        ([1000, 0, 0, 500], 0),
        ([1000, 30, 30, 30], 0),
        ([0, 0, 0], 0),
    ],
)
def test_nights_on_the_same_units_are_found(units: list[int], stalled: int) -> None:
    labelled = [date(2013, 4, 1) + timedelta(days=i) for i in range(len(units))]
    added = [
        Night(night=night, moments={"champion": Moments(units=count)})
        for night, count in zip(labelled, units, strict=True)
        if count
    ]
    assert list(find_stalled_nights(added, labelled)) == labelled[len(labelled) - stalled :]


def test_a_difference_of_shares_is_within_1_and_that_of_costs_may_be_any() -> None:
    nights = simulate(1, nights=1, units=240, champion=late(0.1), challenger=late(0.9))
    wide = replace(HALVES, metric="brier", design=Sequential(effect=1e-6))
    (interval,) = analyse(wide, nights).comparisons[0].path
    assert (interval.low, interval.high) == (-1.0, 1.0)
    (cost,) = analyse(replace(wide, metric="cost"), nights).comparisons[0].path
    assert cost.low < -1
    assert cost.high > 1
