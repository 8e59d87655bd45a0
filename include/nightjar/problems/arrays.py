"""Arrays of labels and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.floating[Any]]
    """One number for each row: the label, or the position of its class. Or rows x numbers: the label, then what the
    metrics of the problem type need of the row besides."""
    Outputs = NDArray[np.float64]
    """What a model predicts: one number for each row, or rows x outputs (classes, quantiles)."""
    SumOverRanks = Callable[[NDArray[Any]], NDArray[Any]]
    """Adds an array over all ranks; every rank calls it and receives the sum."""


def targets(labels: NDArray[Any]) -> NDArray[Any]:
    """Return what engines are trained to predict, one number for each row: encoded labels without what follows."""
    return labels if labels.ndim == 1 else labels[:, 0]


def group_ids(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of each row's group, from 0, ascending: encoded labels of groups tell the first rows of each.

    Args:
        labels: Rows x 2 or more: the label, 1 for the first row of a group, else 0, and what else the type needs.
    """
    ids: NDArray[np.int64] = np.cumsum(labels[:, 1]).astype(np.int64) - 1
    return ids


def are_finite(outputs: Outputs) -> NDArray[np.bool_]:
    """Return whether all outputs of a row are finite, for each row."""
    is_finite = np.isfinite(outputs)
    return is_finite if is_finite.ndim == 1 else np.asarray(is_finite.all(axis=1))
