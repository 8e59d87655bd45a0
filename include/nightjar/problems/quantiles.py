"""Quantiles of numbers that are spread over ranks, from counts that add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import SumOverRanks

BINS = 1024
"""Bins of one pass."""
PASSES = 4
"""Each pass divides the bin that holds the quantile, so its width falls to 2 / ``BINS`` ** ``PASSES`` of the range."""

_ROUNDING = 1e-9  # 100 * 0.07 is above 7


def quantiles_over_ranks(
    values: NDArray[Any], probabilities: Sequence[float], sum_over_ranks: SumOverRanks, *, is_corrected: bool = False
) -> NDArray[np.float64]:
    """Return a quantile of each column over the rows of all ranks; all ranks call it.

    The quantile is the smallest value that at least a share ``probability`` of the rows do not exceed. It is found in
    bins between bounds that hold all rows (the sum over ranks of the largest absolute value), and is too high by at
    most 2e-12 of the bound.

    Args:
        values: Rows of this rank x columns.
        probabilities: Probability of each column's quantile.
        sum_over_ranks: Adds arrays over the ranks.
        is_corrected: Whether the rank of the quantile allows for one row more, on the far side: up for quantiles above
            the median, down below it. A row that is drawn like the others then lies between a lower and an upper
            quantile at least as often as their probabilities say (Romano, Patterson and Candès, 2019, Conformalized
            quantile regression, theorem 2).

    Returns:
        One quantile for each column; 0 without rows.
    """
    ordered = np.sort(values.astype(np.float64), axis=0)
    largest = np.abs(ordered).max(axis=0, initial=0.0)
    rows, *bounds = sum_over_ranks(np.array([len(values), *largest], dtype=np.float64))
    high = np.array(bounds)
    low = -high
    targets = _targets(rows, np.array(probabilities), is_corrected=is_corrected)
    columns = np.arange(values.shape[1])
    for _ in range(PASSES):
        edges = np.linspace(low, high, BINS + 1)
        edges[0], edges[-1] = low, high
        counts = [np.searchsorted(ordered[:, column], edges[1:, column], side="right") for column in columns]
        below = sum_over_ranks(np.stack(counts, axis=1).astype(np.float64))
        bins = np.minimum((below < targets).sum(axis=0), BINS - 1)
        low, high = edges[bins, columns], edges[bins + 1, columns]
    return high


def _targets(rows: float, probabilities: NDArray[np.float64], *, is_corrected: bool) -> NDArray[np.float64]:
    """Return how many rows each quantile reaches: at least 1, at most all."""
    if is_corrected:
        ranks = (rows + 1) * probabilities
        targets = np.where(probabilities < 0.5, np.floor(ranks + _ROUNDING), np.ceil(ranks - _ROUNDING))
    else:
        targets = np.ceil(rows * probabilities - _ROUNDING)
    clipped: NDArray[np.float64] = np.clip(targets, 1, rows)
    return clipped
