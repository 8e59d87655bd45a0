"""Labels of several classes, and predicted probabilities."""

from __future__ import annotations

import numpy as np

from nightjar.declaration.problem import CostMatrix, Multiclass
from nightjar.problems.multiclass.problem import MulticlassProblem

CLASSES = ("cancelled", "late", "on_time", "early")
COST = CostMatrix(
    costs={
        "cancelled": {"late": 20.0, "on_time": 100.0, "early": 100.0},
        "late": {"cancelled": 30.0, "on_time": 10.0, "early": 15.0},
        "on_time": {"cancelled": 60.0, "late": 5.0},
    }
)
PROBLEM = MulticlassProblem(Multiclass(classes=CLASSES, cost=COST))


def sample(rows: int, *, seed: int = 0, classes: int = len(CLASSES), sharpness: float = 1.0) -> tuple[np.ndarray, ...]:
    """Labels drawn from probabilities, and those probabilities with their logarithms times ``sharpness``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (rows, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.float32)
    powers = np.exp(sharpness * logits)
    return labels, powers / powers.sum(axis=1, keepdims=True)
