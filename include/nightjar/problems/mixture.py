"""Weights of the members of an ensemble of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import SumOverRanks

MIN_WEIGHT = 0.01
"""A member with less weight is left out if that costs less than :data:`MAX_LEFT_OUT_COST`."""
MAX_LEFT_OUT_COST = 1e-4
"""Increase of the log loss, in nats per row."""
_MAX_STEPS = 1000
_TOLERANCE = 1e-6  # nats per row
_MIN_LIKELIHOOD = 1e-12  # limits the influence of a row that all members predict with probability 0


def weights_of_mixture(likelihoods: NDArray[np.float64], sum_over_ranks: SumOverRanks) -> tuple[float, ...]:
    """Return the weights that minimize the log loss of the members' mean on the rows of all ranks; all ranks call it.

    Expectation maximization for the weights of a mixture (Smyth and Wolpert, 1999, Linearly combining density
    estimators via stacking): each step multiplies a member's weight by its mean share in the likelihood of a row. The
    loss is convex and falls with each step. As the weights add up to 1, the largest factor minus 1 bounds the remaining
    gain; iteration stops when it is below the tolerance.

    Args:
        likelihoods: Each member's probability of the label (members x rows of this rank).
        sum_over_ranks: Adds an array over the ranks.
    """
    members = len(likelihoods)
    if members == 1:
        return (1.0,)
    likelihoods = np.maximum(likelihoods, _MIN_LIKELIHOOD)
    weights = np.full(members, 1 / members)
    for _ in range(_MAX_STEPS):
        factors = _mean_over_ranks(likelihoods / (weights @ likelihoods), sum_over_ranks)
        weights = weights * factors
        if factors.max() - 1 < _TOLERANCE:
            break
    singles = _mean_over_ranks(np.log(np.vstack([likelihoods, weights @ likelihoods])), sum_over_ranks)
    if singles[:-1].max() >= singles[-1]:  # nearly equal members converge slowly: then the best member alone
        return tuple(float(member == singles[:-1].argmax()) for member in range(members))
    truncated = np.where(weights < MIN_WEIGHT, 0.0, weights)
    sparse = truncated / truncated.sum()
    (costs,) = _mean_over_ranks(np.log(weights @ likelihoods) - np.log(sparse @ likelihoods)[None], sum_over_ranks)
    chosen = sparse if costs < MAX_LEFT_OUT_COST else weights / weights.sum()
    return tuple(chosen.tolist())


def _mean_over_ranks(values: NDArray[np.float64], sum_over_ranks: SumOverRanks) -> NDArray[np.float64]:
    """Return the mean of each line of ``values`` (lines x rows of this rank) over the rows of all ranks."""
    sums = sum_over_ranks(np.append(values.sum(axis=1), float(values.shape[1])))
    means: NDArray[np.float64] = sums[:-1] / sums[-1]
    return means
