"""Mean and standard deviation of the features over the training rows of all ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.training.distributed.collective import sum_over_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def moments(
    matrices: Callable[[], Iterable[NDArray[np.float32]]], features: Sequence[Feature]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation per feature without missing values; all ranks call it, in the collective.

    Rows are read twice for precision: squares are of distances from the mean.

    Args:
        matrices: Yields this rank's rows from the start, as matrices (rows x features).
        features: The matrix's columns.

    Returns:
        One mean and one deviation for each feature; 0 and 1 for categories, deviation 1 for constants.
    """
    numeric = np.array([feature.kind == "numeric" for feature in features])
    known, total, squares = (np.zeros(len(features)) for _ in range(3))
    for matrix in matrices():
        known += (~np.isnan(matrix)).sum(axis=0, dtype=np.float64)
        total += np.nansum(matrix, axis=0, dtype=np.float64)
    known, total = sum_over_ranks(known), sum_over_ranks(total)
    means = np.where(numeric, total / np.maximum(known, 1), 0.0)
    for matrix in matrices():
        with np.errstate(invalid="ignore"):  # infinite values give NaN; training then reports them
            squares += np.nansum((matrix - means) ** 2, axis=0)
    deviations = np.sqrt(sum_over_ranks(squares) / np.maximum(known, 1))
    return means, np.where(numeric & (deviations > 0), deviations, 1.0)
