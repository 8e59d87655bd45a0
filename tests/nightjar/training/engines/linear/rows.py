"""Rows for linear baselines: a number with gaps, a category, a constant and a column without values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from tests.training_sets import DAY, training_set

from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Problem
from nightjar.problems.registry import problem_type
from nightjar.training.data.encoding import encode
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import Split, TrainingSet

FEATURES = (
    Feature("distance", "numeric", "Miles."),
    Feature("carrier", "categorical", "Carrier."),
    Feature("constant", "numeric", "Always the same."),
    Feature("unknown", "numeric", "Never there."),
)
CATEGORIES = {"carrier": ("AA", "UA")}


def matrix_of(rows: int, *, seed: int = 5) -> np.ndarray:
    """The encoded features of some rows."""
    rng = np.random.default_rng(seed)
    table = pa.table(
        {
            "distance": pa.array(rng.normal(800, 300, rows), mask=rng.random(rows) < 0.1),
            "carrier": rng.choice(["AA", "UA", "ZZ"], rows),
            "constant": np.full(rows, 7.0),
            "unknown": pa.nulls(rows, pa.float64()),
        }
    )
    return encode(table, FEATURES, CATEGORIES)


def signal_of(matrix: np.ndarray) -> np.ndarray:
    """A number for each row that the features determine."""
    return (np.nan_to_num(matrix[:, 0], nan=800.0) - 800) / 200 + (matrix[:, 1] == 1)


def shard_of(problem: Problem, matrix: np.ndarray, labels: np.ndarray) -> Shard:
    """Batches of at most 700 rows."""
    shard = Shard(columns=matrix.shape[1], count_labels=problem_type(problem).count_labels)
    for start in range(0, len(labels), 700):
        shard.append(matrix[start : start + 700], labels[start : start + 700].astype(np.float32))
    return shard


def set_of(problem: Problem, rows: int) -> TrainingSet:
    """A training set of so many rows, for a problem."""
    frozen = training_set(FEATURES, CATEGORIES)
    train = Split(first=DAY, last=DAY, days=(DAY,), rows=rows, labels={})
    return replace(frozen, train=train, recipe=replace(frozen.recipe, problem=problem))
