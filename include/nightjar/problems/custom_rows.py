"""What the function of a use case's ``model.py`` gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class CustomRows:
    """The rows that a model of the use case's own trains on, all in memory.

    Attributes:
        matrix: Rows to fit (rows x features, float32); a category is its position in ``categories``, NaN is missing.
        labels: Their encoded labels: numbers, 0 and 1, or positions of classes. Rows of a ranking or a forecast have
            several numbers, of which :func:`nightjar.problems.arrays.targets` returns the label.
        weights: Weight of each row, 1 unless ``Training.rows`` says otherwise.
        validation: Rows for early stopping, like ``matrix``.
        validation_labels: Their labels.
        features: Columns of the matrices.
        categories: Categorical feature to its values.
        problem: The declared problem.
        seed: Seed of all random numbers.
        threads: Threads to use.
    """

    matrix: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.float32] = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)
    validation: NDArray[np.float32] = field(repr=False)
    validation_labels: NDArray[np.float32] = field(repr=False)
    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    problem: Problem
    seed: int
    threads: int
