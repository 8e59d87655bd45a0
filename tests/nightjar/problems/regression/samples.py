"""Numbers, and predictions of their mean and quantiles."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from nightjar.declaration.problem import Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.problems.regression.problem import RegressionProblem

QUANTILES = (0.1, 0.25, 0.5, 0.9)
COST = QuantileCost(under=3.0, over=1.0)
WITH_QUANTILES = RegressionProblem(Regression(unit="min", loss="quantile", quantiles=QUANTILES, cost=COST))
COUNTS = RegressionProblem(Regression(unit="passengers", loss="poisson"))
AMOUNTS = RegressionProblem(Regression(unit="USD", loss="tweedie", tweedie_power=1.3))
MEAN = RegressionProblem(Regression(unit="min"))


def sample(rows: int, *, seed: int = 0, width: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Normal labels, and their quantiles at ``width`` times the right distance from the mean, moved by ``shift``."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(5, 10, rows)
    labels = (mean + rng.normal(0, 2, rows)).astype(np.float32)
    distances = np.array([NormalDist(0, 2).inv_cdf(probability) for probability in QUANTILES])
    return labels, mean[:, None] + width * distances + shift
