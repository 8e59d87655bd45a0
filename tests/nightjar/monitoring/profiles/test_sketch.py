from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nightjar.monitoring.profiles.sketch import RELATIVE_ACCURACY, Grid, Sketch, grid_of, merge_sketches, wasserstein

finite = st.floats(-1e9, 1e9)
grids = st.builds(Grid, finite, st.floats(1e-2, 1e6))


def sketch(values: list[float] | np.ndarray, grid: Grid) -> Sketch:
    return grid.counted(np.sort(np.asarray(values, dtype=np.float64)))


@given(grids, st.lists(finite, max_size=40), st.lists(finite, max_size=40))
def test_sketches_add_up_exactly(grid: Grid, one: list[float], other: list[float]) -> None:
    together = sketch([*one, *other], grid)
    assert merge_sketches(sketch(one, grid), sketch(other, grid)) == together
    assert merge_sketches(sketch(other, grid), sketch(one, grid)) == together


@given(grids, finite)
def test_a_value_is_known_to_its_relative_accuracy(grid: Grid, value: float) -> None:
    held = sketch([value], grid)
    assert held.counts == (1,)
    tolerated = RELATIVE_ACCURACY * (abs(value - grid.centre) + grid.spread)
    assert held.middles[0] == pytest.approx(value, abs=tolerated * (1 + 1e-6) + 1e-6 * abs(grid.centre))


@given(grids, st.lists(finite, min_size=1, max_size=60))
def test_middles_ascend_and_hold_all_values(grid: Grid, values: list[float]) -> None:
    held = sketch(values, grid)
    assert sum(held.counts) == len(values)
    assert list(held.middles) == sorted(held.middles)


def test_memory_does_not_grow_with_rows() -> None:
    random = np.random.default_rng(3)
    values = random.normal(1013, 5, 300_000)
    grid = grid_of(values)
    assert len(sketch(values, grid).keys) < 1.2 * len(sketch(values[:30_000], grid).keys) < 500


def test_quantiles() -> None:
    values = np.random.default_rng(3).gamma(2, 30, 20_000)
    held = sketch(values, grid_of(values))
    for share in (0.0, 0.01, 0.25, 0.5, 0.9, 0.999, 1.0):
        assert held.quantile(share) == pytest.approx(
            np.quantile(values, share, method="inverted_cdf"), abs=RELATIVE_ACCURACY * (values.max() + values.std())
        )
    assert Sketch(Grid(0.0, 1.0)).quantile(0.5) is None


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (("normal", (1013, 5)), ("normal", (1013.4, 5))),
        (("normal", (0, 1)), ("normal", (0, 1.5))),
        (("exponential", (30,)), ("exponential", (48.3,))),
        (("gamma", (2, 700)), ("gamma", (2, 1126))),  # miles were kilometres
    ],
)
def test_wasserstein_is_scipys(then: tuple[str, tuple[float, ...]], now: tuple[str, tuple[float, ...]]) -> None:
    random = np.random.default_rng(5)
    x, y = (getattr(random, name)(*args, size=20_000) for name, args in (then, now))
    grid = grid_of(x)
    expected = stats.wasserstein_distance(x, y)
    assert wasserstein(sketch(x, grid), sketch(y, grid)) == pytest.approx(expected, rel=0.01)


@given(grids, st.lists(finite, min_size=1, max_size=30), st.lists(finite, min_size=1, max_size=30))
def test_wasserstein_is_a_distance_within_the_accuracy(grid: Grid, one: list[float], other: list[float]) -> None:
    a, b = sketch(one, grid), sketch(other, grid)
    found = wasserstein(a, b)
    assert found is not None
    assert found == wasserstein(b, a) >= 0
    blur = [RELATIVE_ACCURACY * np.mean(np.abs(np.array(v) - grid.centre) + grid.spread) for v in (one, other)]
    rounding = 1e-6 * abs(grid.centre)
    assert found == pytest.approx(stats.wasserstein_distance(one, other), abs=sum(blur) * (1 + 1e-6) + rounding)


def test_no_value_has_no_distance() -> None:
    grid = Grid(0.0, 1.0)
    assert wasserstein(sketch([], grid), sketch([1.0], grid)) is None


def test_the_grid_follows_the_bulk_and_not_one_outlier() -> None:
    values = np.append(np.random.default_rng(1).normal(50, 2, 1000), 1e12)
    grid = grid_of(values)
    assert grid.centre == pytest.approx(50, abs=0.3)
    assert 1.5 < grid.spread < 2.5
    assert grid_of([math.nan, math.inf]) == grid_of([]) == Grid(0.0, 1.0)
    assert grid_of([-7.0] * 9) == Grid(-7.0, 7.0)
    assert grid_of([0.0] * 9) == Grid(0.0, 1.0)
    assert grid_of([0.0] * 999 + [5.0]).spread == pytest.approx(0.158, abs=0.001)
