"""Quantiles over ranks equal those of all values together."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.ranks import alone, on_ranks

from nightjar.problems.quantiles import quantiles_over_ranks

PROBABILITIES = (0.07, 0.1, 0.5, 0.7, 0.999)
COLUMNS = len(PROBABILITIES)
NUMBERS = st.one_of(st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, 1.0, -3.5]))


def expected_quantiles(values: np.ndarray) -> list[float]:
    """Smallest value that at least a share of the rows does not exceed, by counting."""
    found = []
    for column, probability in zip(values.T, PROBABILITIES, strict=True):
        needed = -(-len(column) * round(1000 * probability) // 1000)
        found.append(sorted(column)[max(needed, 1) - 1])
    return found


@given(data=st.data(), rows=st.integers(1, 120))
def test_quantiles_match_those_by_counting(data: st.DataObject, rows: int) -> None:
    values = data.draw(arrays(np.float64, (rows, COLUMNS), elements=NUMBERS))
    found = quantiles_over_ranks(values, PROBABILITIES, alone)
    bound = 2e-12 * np.abs(values).max(axis=0)
    error = found - expected_quantiles(values)
    assert (error >= -1e-30).all()
    assert (error <= bound).all()


@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(0, 60), max_size=3))
@settings(max_examples=30)
def test_ranks_with_any_parts_find_the_quantiles_of_all_rows(seed: int, cuts: set[int]) -> None:
    values = np.random.default_rng(seed).standard_cauchy((60, COLUMNS))
    parts = np.split(values, sorted(cuts))
    found = on_ranks(lambda part, total: quantiles_over_ranks(part, PROBABILITIES, total).tolist(), parts)
    np.testing.assert_allclose(found, expected_quantiles(values), atol=1e-8 * np.abs(values).max())


def test_corrected_ranks_reach_one_row_farther_out() -> None:
    values = np.repeat(np.arange(1.0, 20.0)[:, None], 3, axis=1)  # 19 rows: 20 x 0.1 = 2 and 20 x 0.9 = 18
    np.testing.assert_allclose(quantiles_over_ranks(values, (0.1, 0.5, 0.9), alone, is_corrected=True), [2, 10, 18])
    np.testing.assert_allclose(quantiles_over_ranks(values, (0.12, 0.5, 0.88), alone, is_corrected=True), [2, 10, 18])
    np.testing.assert_allclose(quantiles_over_ranks(values, (0.01, 0.5, 0.99), alone, is_corrected=True), [1, 10, 19])


def test_ranks_of_rows_are_exact() -> None:
    values = np.repeat(np.arange(1.0, 101.0)[:, None], 2, axis=1)
    assert 100 * 0.07 > 7
    assert 100 * 0.55 > 55
    np.testing.assert_allclose(quantiles_over_ranks(values, (0.07, 0.55), alone), [7, 55])
    np.testing.assert_allclose(quantiles_over_ranks(values[:-1], (0.07, 0.55), alone, is_corrected=True), [7, 55])


def test_quantiles_of_no_rows_are_0() -> None:
    assert quantiles_over_ranks(np.zeros((0, 2)), (0.1, 0.9), alone).tolist() == [0.0, 0.0]
