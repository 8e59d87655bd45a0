"""Rows, a training set and an engine for tests of networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tests.training_sets import count_labels, training_set

from nightjar.declaration.engines import Network
from nightjar.declaration.features import Feature
from nightjar.training.data.shards import Shard

FEATURES = (
    Feature("carrier", "categorical", "Carrier."),
    Feature("signal", "numeric", "Signal."),
    Feature("airport", "categorical", "Airport."),
    Feature("noise", "numeric", "Noise."),
)
TRAINING_SET = training_set(FEATURES, {"carrier": ("AA", "B6", "DL", "UA"), "airport": ("EWR", "JFK")})
SMALL = Network(hidden=(16, 8), embedding_width=3, batch_size=64, epochs=8, learning_rate=1e-2)


def rows(number: int, seed: int) -> NDArray[np.float32]:
    """Rows as ``encode`` gives them; a tenth of all values is missing."""
    random = np.random.default_rng(seed)
    matrix = np.stack(
        [
            random.integers(0, 4, number),
            random.normal(50, 20, number),
            random.integers(0, 2, number),
            random.normal(size=number),
        ],
        axis=1,
    ).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    return matrix


def shard(number: int, seed: int, *, positives: float = 0.0) -> Shard:
    """Labels that follow the carrier, and how far the signal is from its middle; ``positives`` moves their share."""
    random = np.random.default_rng(seed)
    matrix = rows(number, seed)
    far = np.abs(np.nan_to_num(matrix[:, 1], nan=50) - 50) / 20
    strength = 2 * far - 2 + (matrix[:, 0] == 2) * 1.5 + positives
    labels = (random.random(number) < 1 / (1 + np.exp(-strength))).astype(np.float32)
    filled = Shard(columns=4, count_labels=count_labels)
    for part in range(0, number, 150):
        filled.append(matrix[part : part + 150], labels[part : part + 150])
    return filled
