"""Rows and columns to which the linear baselines are fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.problems.arrays import targets
from nightjar.training.data.moments import moments
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Batch = tuple[NDArray[np.float32], NDArray[np.float64]]
    """Matrix and labels of some rows."""

MAX_ROWS = 200_000
"""Maximum number of rows to fit, sampled evenly; enough for a few hundred weights."""
RIDGE = 1e-3
"""Penalty on half the squared weights, relative to the mean log loss; keeps weights of rare categories finite."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Features of a baseline, and what standardizes them; see :func:`design`.

    Attributes:
        features: Inputs.
        categories: Categorical feature to its frozen vocabulary.
        means: Mean of each feature over the training rows; 0 for categories.
        scales: Standard deviation of each feature; 1 for categories and constants.
    """

    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    def columns(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the design matrix (rows x weights), whose first column is the intercept."""
        return design(matrix, self.features, self.categories, np.array(self.means), np.array(self.scales))

    @property
    def penalties(self) -> NDArray[np.float64]:
        """Ridge of each weight: :data:`RIDGE`, and 0 for the intercept."""
        width = self.columns(np.empty((0, len(self.features)), np.float32)).shape[1]
        penalties = np.full(width, RIDGE)
        penalties[0] = 0.0
        return penalties


def sample(train: Shard, training_set: TrainingSet) -> list[Batch]:
    """Return every n-th row of this rank's training rows, so that all ranks have about ``MAX_ROWS`` rows or fewer."""
    stride = -(-training_set.train.rows // MAX_ROWS)
    return [(matrix[::stride], targets(labels[::stride]).astype(np.float64)) for matrix, labels in train.batches()]


def standardized(batches: Sequence[Batch], training_set: TrainingSet) -> Inputs:
    """Return the inputs, standardized by the rows of all ranks; all ranks call it, inside the collective."""
    means, scales = moments(lambda: (matrix for matrix, _ in batches), training_set.features)
    return Inputs(
        features=training_set.features,
        categories=training_set.categories,
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
    )


def design(
    matrix: NDArray[np.float32],
    features: Sequence[Feature],
    categories: Mapping[str, Sequence[str]],
    means: NDArray[np.float64],
    scales: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the design matrix (rows x weights): intercept, numbers with missing indicators, one-hot categories."""
    columns = [np.ones((len(matrix), 1))]
    for position, feature in enumerate(features):
        values = matrix[:, position].astype(np.float64)
        missing = np.isnan(values)
        if feature.kind == "numeric":
            standard = np.where(missing, 0.0, (values - means[position]) / scales[position])
            columns.append(np.stack([standard, missing.astype(np.float64)], axis=1))
        else:
            columns.append((values[:, None] == np.arange(len(categories[feature.name]))).astype(np.float64))
    return np.hstack(columns)
