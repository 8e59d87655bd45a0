"""Measures of drift on binned counts. Pure numpy and scipy.

Effects (PSI, Jensen-Shannon, Kolmogorov-Smirnov), a test (chi-squared), and the false discovery rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nightjar.monitoring.profiles.profile import ColumnProfile

PSEUDO_COUNT = 0.5
"""Added to every bin of both samples before PSI (Jeffreys), so that an empty bin has a finite logarithm."""

MIN_EXPECTED = 5.0
"""Minimum expected count of a bin in the chi-squared test (Cochran 1954, Biometrics 10:417)."""

SIMULATIONS = 200
"""Simulated pairs of samples for the PSI expected by chance."""

SEED = 20130401

TEST_NAME = "chi2_homogeneity"


def bin_counts(column: ColumnProfile) -> NDArray[np.int64]:
    """Rows per bin, the missing rows as the last bin."""
    return np.array([*column.counts, column.nulls], dtype=np.int64)


def missing_counts(column: ColumnProfile) -> NDArray[np.int64]:
    """Rows with and without a value."""
    return np.array([column.values, column.nulls], dtype=np.int64)


def psi(reference: NDArray[np.int64], night: NDArray[np.int64]) -> float:
    """Return the population stability index: ``sum((a - e) ln(a / e))`` over the bins.

    ``a`` is a bin's share of the night's rows, ``e`` that of the reference's. Shares are smoothed by
    :data:`PSEUDO_COUNT`. The index is Jeffreys' divergence of the two histograms (Kullback and Leibler 1951; Siddiqi
    2006, Credit Risk Scorecards, ch. 8). Bins that are empty in both samples are left out.

    Args:
        reference: Rows per bin.
        night: Rows per bin, the same bins.
    """
    used = (reference + night) > 0
    return float(bin_divergence(reference[used], night[used]).sum())


def expected_psi(reference: NDArray[np.int64], night: NDArray[np.int64]) -> float:
    """Return the expected PSI of two samples of these sizes from one distribution (the pooled one).

    For large samples it is (bins - 1) (1/m + 1/n) (Yurdakul 2018, Statistical Properties of the Population Stability
    Index, ch. 3). With few rows per bin the smoothing changes it, so it is estimated as the mean of
    :data:`SIMULATIONS` simulated pairs with a fixed seed.
    """
    used = (reference + night) > 0
    m, n = int(reference.sum()), int(night.sum())
    shares = (reference + night)[used] / (m + n)
    random = np.random.default_rng(SEED)
    drawn_reference, drawn_night = (random.multinomial(size, shares, size=SIMULATIONS) for size in (m, n))
    return float(bin_divergence(drawn_reference, drawn_night).sum(axis=-1).mean())


def bin_divergence(reference: NDArray[np.int64], night: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the contribution of each bin (last axis) to the PSI: ``(a - e) ln(a / e)`` of the smoothed shares."""
    expected, actual = (
        (counts + PSEUDO_COUNT) / (counts + PSEUDO_COUNT).sum(axis=-1, keepdims=True) for counts in (reference, night)
    )
    divergence: NDArray[np.float64] = (actual - expected) * np.log(actual / expected)
    return divergence


def jensen_shannon(reference: NDArray[np.int64], night: NDArray[np.int64]) -> float:
    """Return the Jensen-Shannon distance of the shares, from 0 (the same) to 1 (no bin in common).

    The square root of the divergence in bits, which is a metric (Endres and Schindelin 2003, IEEE Trans. Inf. Theory
    49:1858).

    Args:
        reference: Rows per bin.
        night: Rows per bin, the same bins.
    """
    reference_shares, night_shares = reference / reference.sum(), night / night.sum()
    middle = (reference_shares + night_shares) / 2
    divergence = sum(
        float((shares[shares > 0] * np.log2(shares[shares > 0] / middle[shares > 0])).sum())
        for shares in (reference_shares, night_shares)
    )
    return float(np.sqrt(max(0.0, divergence / 2)))


def kolmogorov_smirnov(reference: NDArray[np.int64], night: NDArray[np.int64]) -> float | None:
    """Return the largest difference of the distribution functions at the bins' borders; None without values.

    A lower bound of the statistic on the values themselves, which is not limited to the borders. Between 0 and 1.

    Args:
        reference: Values per bin in the order of the bins, without the missing ones.
        night: Values per bin of the night.
    """
    if not reference.sum() or not night.sum():
        return None
    reference_cdf, night_cdf = np.cumsum(reference) / reference.sum(), np.cumsum(night) / night.sum()
    return float(np.abs(reference_cdf - night_cdf).max())


def two_sample_test(
    reference: NDArray[np.int64], night: NDArray[np.int64], design_effect: float = 1.0
) -> tuple[float, int, float]:
    """Test whether both samples come from one distribution: Pearson's chi-squared test of homogeneity on the bins.

    The test fits numeric and categorical columns and treats the missing bin like any other; a Kolmogorov-Smirnov test
    on bins is conservative and needs ordered bins. Bins with an expected count below :data:`MIN_EXPECTED` in the
    smaller sample are pooled. If the pool is still too small, an exact binomial test is made on it and the p-values
    are combined (Bonferroni). Pooling depends on the samples' sums only, so it does not bias the tests.

    Args:
        reference: Rows per bin.
        night: Rows per bin, the same bins.
        design_effect: Divisor of the statistic, since the rows of a night are not independent (Rao and Scott 1981, J.
            Am. Stat. Assoc. 76:221, first-order correction).

    Returns:
        Chi-squared, its degrees of freedom, and the p-value. The first two are 0 when only the exact test, or none,
        can be made; without a test the p-value is 1.
    """
    share = (reference + night) / (reference + night).sum()
    rare = share * min(reference.sum(), night.sum()) < MIN_EXPECTED
    table = np.vstack([reference[~rare], night[~rare]])
    pool = (int(reference[rare].sum()), int(night[rare].sum()))
    if share[rare].sum() * min(reference.sum(), night.sum()) >= MIN_EXPECTED:
        table, pool = np.column_stack([table, pool]), (0, 0)
    statistic, degrees, p = _chi_squared(table, design_effect)
    if sum(pool):
        excess = _rare_excess(pool[1], sum(pool), night.sum() / (reference.sum() + night.sum()), design_effect)
        p = min(1.0, 2 * min(p, excess)) if degrees else excess
    return statistic, degrees, p


def _chi_squared(table: NDArray[np.int64], design_effect: float) -> tuple[float, int, float]:
    """``sum((observed - expected)^2 / expected)`` of a 2 x bins table (Pearson 1900; Agresti 2013, 3.2.1)."""
    from scipy.special import chdtrc  # takes 0.15 s, and most importers only read what was measured

    degrees = table.shape[1] - 1
    if degrees < 1 or not table.sum(axis=1).all():
        return 0.0, 0, 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum()) / design_effect
    return statistic, degrees, float(chdtrc(degrees, statistic))


def _rare_excess(night: int, both: int, night_share: float, design_effect: float) -> float:
    """Return the p-value of the number of rare rows in the night, given both samples: the upper binomial tail.

    Conditional test of two Poisson counts (Przyborowski and Wilenski 1940, Biometrika 31:313), on counts divided by the
    design effect.
    """
    from scipy.special import betainc

    k, t = night / design_effect, both / design_effect
    return float(betainc(k, t - k + 1, night_share)) if k > 0 else 1.0


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Return q-values: the smallest false discovery rate at which each test is a discovery.

    Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57:289, as adjusted p-values: the running minimum, from the
    largest p down, of p times tests over rank.
    """
    order = np.argsort(p)[::-1]
    ranks = np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum(1.0, np.minimum.accumulate(np.asarray(p)[order] * len(p) / ranks))
    return [float(value) for value in q]
