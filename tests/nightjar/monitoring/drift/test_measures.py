from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from scipy.spatial import distance

from nightjar.monitoring.drift.measures import (
    benjamini_hochberg,
    expected_psi,
    jensen_shannon,
    kolmogorov_smirnov,
    psi,
    two_sample_test,
)

counts = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 5000), min_size=bins, max_size=bins)] * 2)
)


def array(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_psi_by_hand() -> None:
    then, now = array([50, 30, 20]), array([20, 30, 50])
    e, a = [50.5 / 101.5, 30.5 / 101.5, 20.5 / 101.5], [20.5 / 101.5, 30.5 / 101.5, 50.5 / 101.5]
    assert psi(then, now) == pytest.approx(sum((y - x) * math.log(y / x) for x, y in zip(e, a, strict=True)))


def test_psi_of_many_rows_is_the_textbook_figure() -> None:
    then, now = array([500_000, 500_000]), array([400_000, 600_000])
    assert psi(then, now) == pytest.approx(0.1 * math.log(0.6 / 0.5) - 0.1 * math.log(0.4 / 0.5), abs=1e-5)


@given(counts)
def test_psi_is_not_negative_and_symmetric(pair: tuple[list[int], list[int]]) -> None:
    then, now = array(pair[0]), array(pair[1])
    assert psi(then, now) >= 0
    assert psi(then, now) == pytest.approx(psi(now, then))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20))
def test_psi_of_the_same_is_zero(values: list[int]) -> None:
    assert psi(array(values), array(values)) == 0


@given(counts)
def test_jensen_shannon_is_scipys(pair: tuple[list[int], list[int]]) -> None:
    then, now = array(pair[0]), array(pair[1])
    assume(then.sum() and now.sum())
    assert jensen_shannon(then, now) == pytest.approx(distance.jensenshannon(then, now, base=2), abs=1e-7)


def test_jensen_shannon_of_nothing_in_common_is_one() -> None:
    assert jensen_shannon(array([5, 0]), array([0, 900])) == 1.0


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_kolmogorov_smirnov_is_scipys_where_each_value_has_its_bin(one: list[int], other: list[int]) -> None:
    then, now = (np.bincount(values, minlength=21) for values in (one, other))
    assert kolmogorov_smirnov(then, now) == pytest.approx(stats.ks_2samp(one, other).statistic)
    assert kolmogorov_smirnov(then, np.zeros(21, dtype=np.int64)) is None


@given(counts)
def test_measures_are_plain_numpys_on_the_bins(pair: tuple[list[int], list[int]]) -> None:
    then, now = array(pair[0]), array(pair[1])
    assume(then.sum() and now.sum())
    p, q = then / then.sum(), now / now.sum()
    assert kolmogorov_smirnov(then, now) == pytest.approx(np.abs(np.cumsum(p) - np.cumsum(q)).max(), abs=1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.nansum(p * np.log2(2 * p / (p + q))) + np.nansum(q * np.log2(2 * q / (p + q)))
    assert jensen_shannon(then, now) ** 2 == pytest.approx(bits / 2, abs=1e-12)
    held = then + now > 0
    p, q = ((x[held] + 0.5) / (x[held] + 0.5).sum() for x in (then, now))
    assert psi(then, now) == pytest.approx(((q - p) * np.log(q / p)).sum(), abs=1e-12)


def test_expected_psi_is_the_asymptotic_one_for_large_samples() -> None:
    then, now = array([20_000] * 10), array([900] * 10)
    assert expected_psi(then, now) == pytest.approx(9 * (1 / 200_000 + 1 / 9000), rel=0.1)
    assert expected_psi(then, now) == expected_psi(then, now)


@given(counts)
def test_chi_squared_is_scipys(pair: tuple[list[int], list[int]]) -> None:
    table = np.array(pair) + 50
    assume(stats.contingency.expected_freq(table).min() >= 5)
    expected = stats.chi2_contingency(table, correction=False)
    found = two_sample_test(table[0], table[1])
    assert_allclose(found, (expected.statistic, expected.dof, expected.pvalue), rtol=1e-7, atol=1e-12)


def test_rare_bins_are_pooled_when_that_makes_them_large_enough() -> None:
    then, now = array([500, 500, 20, 30, 10]), array([50, 50, 2, 3, 1])
    pooled = stats.chi2_contingency([[500, 500, 60], [50, 50, 6]], correction=False)
    assert two_sample_test(then, now) == pytest.approx((pooled.statistic, pooled.dof, pooled.pvalue))


def test_a_value_never_seen_in_training_is_significant_however_large_training_is() -> None:
    """Its expected count is far below 5: pooled into another bin it would vanish."""
    statistic, degrees, p = two_sample_test(array([1_000_000, 0]), array([800, 100]))
    assert (statistic, degrees) == (0.0, 0)
    assert p == pytest.approx(stats.binomtest(100, 100, 900 / 1_000_900, alternative="greater").pvalue)
    assert two_sample_test(array([20_000, 3]), array([899, 1]))[2] == pytest.approx(
        stats.binomtest(1, 4, 900 / 20_903, alternative="greater").pvalue
    )


def test_both_tests_are_combined() -> None:
    then, now = array([10_000, 10_000, 0]), array([450, 450, 2])
    exact = stats.binomtest(2, 2, 902 / 20_902, alternative="greater").pvalue
    assert two_sample_test(then, now)[2] == pytest.approx(2 * exact)


def test_p_values_are_honest() -> None:
    """Without drift 5 % of them lie below 0.05, rare bins or not."""
    random = np.random.default_rng(8)
    shares = np.array([0.4, 0.3, 0.2, 0.09, 0.005, 0.004, 0.001])
    p = [two_sample_test(random.multinomial(20_000, shares), random.multinomial(300, shares))[2] for _ in range(2000)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.06


def test_one_bin_is_no_test() -> None:
    assert two_sample_test(array([100, 0]), array([10, 0])) == (0.0, 0, 1.0)


def test_a_design_effect_divides_the_statistic() -> None:
    then, now = array([500, 500]), array([40, 60])
    assert two_sample_test(then, now, 4.0)[0] == pytest.approx(two_sample_test(then, now)[0] / 4)
    assert (
        two_sample_test(array([9000, 0]), array([80, 20]), 4.0)[2]
        > two_sample_test(array([9000, 0]), array([80, 20]))[2]
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_benjamini_hochberg_is_scipys(p: list[float]) -> None:
    assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p, method="bh"), atol=1e-12)


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, 0.5, 0.02]) == pytest.approx([0.03, 0.5, 0.03])
    assert benjamini_hochberg([]) == []
