"""The baseline of numbers: linear regression with ridge, fitted over all ranks and saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from nightjar.declaration.problem import Regression
from nightjar.problems.quantiles import quantiles_over_ranks
from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.collective import sum_over_ranks
from nightjar.training.engines.linear.inputs import MAX_ROWS, RIDGE, Inputs, sample, standardized
from nightjar.training.engines.member import MemberCard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.training.engines.linear.inputs import Batch

FILE = "ridge.json"
MIN_SHARE = 0.01
"""Smallest prediction of a mean above 0, as a share of the labels' mean: the deviance is infinite at 0."""


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """Linear regression on standardized numbers and one-hot encoded categories.

    Attributes:
        inputs: Features, and what standardizes them.
        weights: Intercept, then the other columns of the design matrix.
        shifts: What is added to the regression's number: one number, or one for each quantile.
        minimum: Smallest prediction; None without one.
    """

    inputs: Inputs
    weights: tuple[float, ...]
    shifts: float | tuple[float, ...] = 0.0
    minimum: float | None = None

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """Return numbers, or rows x quantiles; see :meth:`nightjar.training.engines.member.Member.predict`."""
        columns = self.inputs.columns(matrix)
        # summed by column: a row's sum must not depend on the number of rows
        numbers = np.add.outer((columns * np.array(self.weights)).sum(axis=1), np.array(self.shifts))
        predictions: NDArray[np.float64] = numbers if self.minimum is None else np.maximum(numbers, self.minimum)
        return predictions

    def card(self, validation_score: float) -> MemberCard:
        """Return the baseline's card."""
        return MemberCard(
            name="ridge",
            kind="ridge",
            engine="linear regression",
            params={"ridge": RIDGE, "max_rows": MAX_ROWS},
            rounds=0,
            validation_score=validation_score,
        )

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: dump_json(self).encode()}


def load(content: Mapping[str, bytes]) -> Ridge:
    """Load the member from a model folder's files."""
    return load_json(Ridge, content[FILE])


def fit(train: Shard, training_set: TrainingSet) -> Ridge:
    """Fit the baseline to every n-th row of all ranks' shards; all ranks call it, inside the collective.

    Normal equations of the penalized squared error, with sums over all ranks (Hastie, Tibshirani and Friedman, The
    Elements of Statistical Learning, equation 3.44). For the losses ``quantile`` and ``absolute``, quantiles of the
    residuals are added; for ``poisson`` and ``tweedie``, predictions are at least :data:`MIN_SHARE` of the labels'
    mean.

    Args:
        train: This rank's training rows.
        training_set: Features with their vocabularies, the number of rows of all ranks, and the loss.

    Raises:
        TrainingError: when the weights are not finite.
    """
    declared = cast(Regression, training_set.recipe.problem)
    batches = sample(train, training_set)
    inputs = standardized(batches, training_set)
    products, of_labels = _sums(batches, inputs)
    rows = products[0, 0]  # the first column is the intercept
    weights = np.linalg.solve(products / rows + np.diag(inputs.penalties), of_labels / rows)
    if not np.isfinite(weights).all():
        raise TrainingError(
            "the baseline's weights are not finite",
            where="linear regression on the training rows",
            how_many=len(weights),
            fix="check the features and labels for infinite or very large values",
        )
    return Ridge(
        inputs=inputs,
        weights=tuple(weights.tolist()),
        shifts=_shifts(batches, inputs, weights, declared),
        minimum=MIN_SHARE * float(of_labels[0] / rows) if declared.has_lower_bound else None,
    )


def _sums(batches: Sequence[Batch], inputs: Inputs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the products of the columns with each other and with the labels, summed over batches and ranks."""
    width = len(inputs.penalties)
    sums = np.zeros((width + 1, width))
    for matrix, labels in batches:
        columns = inputs.columns(matrix)
        sums[:-1] += columns.T @ columns
        sums[-1] += columns.T @ labels
    total = sum_over_ranks(sums)
    return total[:-1], total[-1]


def _shifts(
    batches: Sequence[Batch], inputs: Inputs, weights: NDArray[np.float64], declared: Regression
) -> float | tuple[float, ...]:
    """Return the quantiles of the residuals that the loss asks for, or 0 for the losses of a mean."""
    probabilities = declared.quantiles or ((0.5,) if declared.loss == "absolute" else ())
    if not probabilities:
        return 0.0
    residuals = np.concatenate([np.zeros(0), *(y - inputs.columns(matrix) @ weights for matrix, y in batches)])
    repeated = np.tile(residuals[:, None], len(probabilities))
    shifts = tuple(quantiles_over_ranks(repeated, probabilities, sum_over_ranks).tolist())
    return shifts if declared.quantiles else shifts[0]
