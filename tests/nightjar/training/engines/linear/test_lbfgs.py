"""L-BFGS finds the minimum of known functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from nightjar.training.engines.linear.lbfgs import minimize


def same(gradient: np.ndarray) -> np.ndarray:
    return gradient


def test_minimum_of_a_curved_valley_is_found() -> None:
    found = minimize(lambda x: (float(rosen(x)), rosen_der(x)), np.array([-1.2, 1.0, 0.5]), same)
    assert found == pytest.approx(np.ones(3), abs=1e-6)


def test_minimum_of_a_matrix_is_found_at_once_with_the_inverse_hessian() -> None:
    scales, target = np.array([1.0, 1e6]), np.array([[1.0, 2.0], [3.0, -4.0]])
    points = []

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        points.append(x)
        return float((scales * (x - target) ** 2).sum()) / 2, scales * (x - target)

    found = minimize(evaluate, np.zeros((2, 2)), lambda gradient: gradient / scales)
    np.testing.assert_allclose(found, target)
    assert len(points) == 2


@pytest.mark.parametrize(
    ("value", "gradient"), [(np.nan, np.nan), (np.inf, np.nan), (0.0, 1.0)], ids=["nan", "infinite", "not a gradient"]
)
def test_function_that_does_not_decrease_has_no_minimum(value: float, gradient: float) -> None:
    assert minimize(lambda x: (value, np.array([gradient])), np.array([1.0]), same) is None
