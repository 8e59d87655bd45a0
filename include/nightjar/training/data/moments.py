"""Mean and standard deviation of the features over the training rows of all ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from nightjar.declaration.use_case import Feature
from nightjar.training.distributed.collective import sum_over_ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def moments(
    matrices: Callable[[], Iterable[NDArray[np.float32]]], features: Sequence[Feature]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation per feature, missing left out; all ranks call it, inside the collective.

    Read twice, for precision: the squares are of the distances from the mean.

    Args:
        matrices: Gives this rank's rows from their start, matrix by matrix (rows x features).
        features: The matrix's columns.

    Returns:
        Means and deviations, one a feature; 0 and 1 for categories, 1 for the deviation of a constant.
    """
    import numpy as np

    numeric = np.array([feature.kind == "numeric" for feature in features])
    known, total, squares = (np.zeros(len(features)) for _ in range(3))
    for matrix in matrices():
        known += (~np.isnan(matrix)).sum(axis=0, dtype=np.float64)
        total += np.nansum(matrix, axis=0, dtype=np.float64)
    known, total = sum_over_ranks(known), sum_over_ranks(total)
    means = np.where(numeric, total / np.maximum(known, 1), 0.0)
    for matrix in matrices():
        with np.errstate(invalid="ignore"):  # infinite values: whoever trains on these moments finds no numbers
            squares += np.nansum((matrix - means) ** 2, axis=0)
    deviations = np.sqrt(sum_over_ranks(squares) / np.maximum(known, 1))
    return means, np.where(numeric & (deviations > 0), deviations, 1.0)
