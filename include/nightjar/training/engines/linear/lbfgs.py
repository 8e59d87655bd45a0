"""Minimize a smooth function by L-BFGS. Numpy only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Pairs = deque[tuple[Vector, Vector, float]]
    """Steps, changes of the gradient, and the reciprocal of their product, the oldest first."""

_PAIRS = 10
_MAX_STEPS = 200
_MAX_HALVINGS = 30
_TOLERANCE = 1e-6
_DECREASE = 1e-4  # of what the slope promises (Armijo, 1966)
_ROUNDING = 1e-14  # of the function's value


def minimize(
    evaluate: Callable[[Vector], tuple[float, Vector]], start: Vector, precondition: Callable[[Vector], Vector]
) -> Vector | None:
    """Return the minimum, or None when it is not reached.

    Algorithm 7.4 of Nocedal and Wright, 2006, Numerical optimization, with steps halved until the function decreases.

    Args:
        evaluate: Returns value and gradient at a point.
        start: First point.
        precondition: Multiplies a gradient by an approximate inverse of the Hessian. The minimum is reached when no
            number of the product exceeds 1e-6.
    """
    point = start
    value, gradient = evaluate(point)
    pairs: Pairs = deque(maxlen=_PAIRS)
    for _ in range(_MAX_STEPS):
        if np.abs(precondition(gradient)).max() < _TOLERANCE:
            return point
        step = -_multiply(gradient, pairs, precondition)
        slope = float((gradient * step).sum())
        for _ in range(_MAX_HALVINGS):
            following, changed = evaluate(point + step)
            if following <= value + _DECREASE * slope + _ROUNDING * abs(value):
                break
            step, slope = step / 2, slope / 2
        else:
            return None
        change = changed - gradient
        if (product := float((step * change).sum())) > 0:
            pairs.append((step, change, 1 / product))
        point, value, gradient = point + step, following, changed
    return None


def _multiply(gradient: Vector, pairs: Pairs, precondition: Callable[[Vector], Vector]) -> Vector:
    """Return the gradient times the inverse Hessian that the pairs imply, by two loops over them."""
    product, factors = gradient.copy(), []
    for step, change, reciprocal in reversed(pairs):
        factors.append(reciprocal * float((step * product).sum()))
        product -= factors[-1] * change
    product = precondition(product)
    for (step, change, reciprocal), factor in zip(pairs, reversed(factors), strict=True):
        product = product + (factor - reciprocal * float((change * product).sum())) * step
    return product
