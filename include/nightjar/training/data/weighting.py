"""How the rows of a training are sampled and weighted, and what that does to predicted probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.problem import Binary, Multiclass
from nightjar.declaration.rows import Rows
from nightjar.problems.arrays import targets
from nightjar.protocol.errors import TrainingError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels
    from nightjar.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class ClassWeighting:
    """Sampling and weights by class, in the order of the problem's classes (0 and 1 for a binary problem).

    Attributes:
        kept: Share of each class's rows that is fitted; empty for all rows.
        weights: Weight of each class's rows in the loss; empty when all weigh 1.
    """

    kept: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def total(self) -> tuple[float, ...]:
        """Weight of each class in the loss, relative to its share among all rows; empty when all weigh alike."""
        if not self.kept or not self.weights:
            return self.kept or self.weights
        return tuple(kept * weight for kept, weight in zip(self.kept, self.weights, strict=True))


def class_weighting(recipe: Recipe) -> ClassWeighting:
    """Return how a recipe samples and weighs classes, without ``balance_classes``, which engines apply."""
    weighting = _BY_TYPE.get(recipe.problem.kind)
    return weighting(recipe.problem, recipe.rows) if weighting else ClassWeighting()


def _of_binary(problem: Binary, rows: Rows) -> ClassWeighting:
    return ClassWeighting() if rows.negative_share == 1.0 else ClassWeighting(kept=(rows.negative_share, 1.0))


def _of_classes(problem: Multiclass, rows: Rows) -> ClassWeighting:
    if not rows.class_weights:
        return ClassWeighting()
    return ClassWeighting(weights=tuple(float(rows.class_weights.get(name, 1.0)) for name in problem.classes))


_BY_TYPE: Mapping[str, Callable[[Any, Rows], ClassWeighting]] = {
    Binary.kind: _of_binary,
    Multiclass.kind: _of_classes,
}


def class_weights(recipe: Recipe, event_weight: float = 1.0) -> tuple[float, ...]:
    """Return the weight of each class in training, relative to its share among all rows; empty when all weigh alike.

    Args:
        recipe: Declares sampling and weights.
        event_weight: Weight of a positive row of a binary problem in the loss, by which the class 1 is multiplied.
    """
    total = class_weighting(recipe).total
    if event_weight == 1.0:
        return total
    negatives, positives = total or (1.0, 1.0)
    return negatives, positives * event_weight


def weight_of_age(days: int, half_life_days: float | None) -> float:
    """Return the weight of rows that are ``days`` older than the newest: half for each half-life."""
    return 1.0 if half_life_days is None else float(0.5 ** (days / half_life_days))


def sample_rows(labels: Labels, weighting: ClassWeighting, seed: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return which rows are fitted, at random with the share of their class; None for all.

    Args:
        labels: Encoded labels of the rows of one day, in the order of their keys.
        weighting: Shares of the classes.
        seed: Seed of the training, and the day: the same rows are chosen whatever the number of ranks.
    """
    if not weighting.kept:
        return None
    shares = np.array(weighting.kept)[targets(labels).astype(np.int64)]
    chosen: NDArray[np.bool_] = np.random.default_rng(seed).random(len(labels)) < shares
    return chosen


def weights_of_rows(
    rows: pa.Table, labels: Labels, declared: Rows, weighting: ClassWeighting, *, where: str
) -> NDArray[np.float32] | None:
    """Return each row's weight by its column and its class; None when neither is declared.

    Args:
        rows: The rows, with the declared ``weight_column``.
        labels: Their encoded labels.
        declared: Names the column.
        weighting: Weights of the classes.
        where: Table and day, for the error.

    Raises:
        TrainingError: when a weight is null, not finite or negative; with their number.
    """
    weights = None
    if declared.weight_column is not None:
        weights = _weights_of_column(rows, declared.weight_column, where=where)
    if weighting.weights:
        of_class = np.array(weighting.weights, np.float32)[targets(labels).astype(np.int64)]
        weights = of_class if weights is None else weights * of_class
    return weights


def _weights_of_column(rows: pa.Table, name: str, *, where: str) -> NDArray[np.float32]:
    import pyarrow as pa

    weights: NDArray[np.float32] = rows[name].cast(pa.float64()).to_numpy().astype(np.float32)  # nulls are NaN
    if wrong := int(np.count_nonzero(~(np.isfinite(weights) & (weights >= 0)))):
        raise TrainingError(
            f"{wrong} of {len(weights)} rows have no weight: {name} is null, not finite or negative",
            where=where,
            how_many=wrong,
            fix="give each row a number of at least 0 in features.py, with a rule that checks it, or leave "
            "weight_column out",
        )
    return weights


def without_class_weights(outputs: NDArray[np.float64], weights: tuple[float, ...]) -> NDArray[np.float64]:
    """Return probabilities corrected for the weights of the classes in training; outputs as they are without weights.

    The odds of two classes are too large by the ratio of their weights (Elkan, 2001, The foundations of cost-sensitive
    learning, theorem 2; for several classes Saerens, Latinne and Decaestecker, 2002, Adjusting the outputs of a
    classifier to new a priori probabilities, equation 2.4).

    Args:
        outputs: Probability of class 1 for each row, or of each class (rows x classes).
        weights: Weight of each class; empty for none.
    """
    if not weights:
        return outputs
    if outputs.ndim == 1:
        event_weight = weights[1] / weights[0]
        return outputs / (outputs + event_weight * (1 - outputs))
    divided = outputs / np.array(weights)
    corrected: NDArray[np.float64] = divided / divided.sum(axis=1, keepdims=True)
    return corrected
