"""Weights of the members of an ensemble of numbers: at least 0, adding up to 1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks

MIN_WEIGHT = 0.01
"""A member with less weight is left out if that increases the pinball loss by at most :data:`MAX_LEFT_OUT_COST`."""
MAX_LEFT_OUT_COST = 1e-4
"""Share of the loss."""
_STEPS = 100
_STEP_SIZE = 2.0
_RIDGE = 1e-10  # relative to the errors' mean square: equal members share their weight


def weights_of_squares(labels: Labels, outputs: Sequence[Outputs], sum_over_ranks: SumOverRanks) -> tuple[float, ...]:
    """Return the weights that minimize the squared error of the members' mean on all ranks' rows; all ranks call it.

    As weights add up to 1, the squared error is a quadratic form of the members' errors, so it needs only the sums of
    their products (Bates and Granger, 1969, The combination of forecasts). The minimum is exact: it is the best among
    those of all subsets of members whose unconstrained weights are positive.

    Args:
        labels: Label of each row of this rank.
        outputs: Output of each member, one number for each row.
        sum_over_ranks: Adds arrays over the ranks.
    """
    members = len(outputs)
    if members == 1:
        return (1.0,)
    errors = np.stack([output - labels.astype(np.float64) for output in outputs])
    products = sum_over_ranks((errors[:, None] * errors).sum(axis=2))
    mean_square = np.trace(products) / members
    if not mean_square:
        return (1 / members,) * members
    products = products / mean_square + _RIDGE * np.eye(members)
    candidates = [
        _weights_of_subset(products, subset)
        for size in range(1, members + 1)
        for subset in combinations(range(members), size)
    ]
    best = min((weights for weights in candidates if (weights >= 0).all()), key=lambda w: float(w @ products @ w))
    return tuple(best.tolist())


def _weights_of_subset(products: NDArray[np.float64], subset: Sequence[int]) -> NDArray[np.float64]:
    """Return the weights of a subset, adding up to 1 and possibly negative, with the lowest squared error."""
    weights = np.zeros(len(products))
    solution = np.linalg.solve(products[np.ix_(subset, subset)], np.ones(len(subset)))
    weights[list(subset)] = solution / solution.sum()
    return weights


def weights_of_pinball(
    labels: Labels, outputs: Sequence[Outputs], quantiles: Sequence[float], sum_over_ranks: SumOverRanks
) -> tuple[float, ...]:
    """Return weights with a low pinball loss of the members' mean on the rows of all ranks; all ranks call it.

    Exponentiated gradient (Kivinen and Warmuth, 1997) from equal weights, with steps that fall with the root of their
    number. The loss is convex; the best of all steps and of the single members is returned.

    Args:
        labels: Label of each row of this rank.
        outputs: Quantiles of each member (rows x quantiles), ascending in each row.
        quantiles: Probability of each quantile; 0.5 alone stands for the absolute error.
        sum_over_ranks: Adds arrays over the ranks.
    """
    members = len(outputs)
    if members == 1:
        return (1.0,)
    stacked, targets = np.stack(outputs), labels.astype(np.float64)[:, None]
    probabilities = np.array(quantiles)

    def evaluate(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the summed loss and its gradient."""
        errors = targets - np.tensordot(weights, stacked, axes=1)
        slopes = np.where(errors > 0, -probabilities, 1 - probabilities)
        gradient = (stacked * slopes).sum(axis=(1, 2))
        sums = sum_over_ranks(np.array([-(slopes * errors).sum(), *gradient]))
        return float(sums[0]), sums[1:]

    weights = np.full(members, 1 / members)
    tried: list[tuple[float, NDArray[np.float64]]] = []
    for step in range(1, _STEPS + 1):
        loss, gradient = evaluate(weights)
        tried.append((loss, weights))
        centred = gradient - weights @ gradient
        largest = np.abs(centred).max()
        if not largest:
            break
        powers = weights * np.exp(-_STEP_SIZE / np.sqrt(step) * centred / largest)
        weights = powers / powers.sum()
    tried += [(evaluate(alone)[0], alone) for alone in np.eye(members)]
    loss, best = min(tried, key=lambda pair: pair[0])
    truncated = np.where(best < MIN_WEIGHT, 0.0, best)
    sparse = truncated / truncated.sum()
    chosen = sparse if evaluate(sparse)[0] <= loss * (1 + MAX_LEFT_OUT_COST) else best
    return tuple(chosen.tolist())
