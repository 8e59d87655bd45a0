"""The baseline: logistic regression, fitted over all ranks and saved as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.collective import sum_over_ranks
from nightjar.training.engines.linear.inputs import MAX_ROWS, RIDGE, design, sample, standardized
from nightjar.training.engines.member import MemberCard

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "logistic.json"
_MAX_STEPS = 50
_TOLERANCE = 1e-8
_MAX_STEP = 4.0  # longer steps leave the region where Newton's method converges


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Logistic regression on standardized numbers and one-hot encoded categories.

    A missing number is replaced by the mean and has an indicator column; an unknown category has no column set.

    Attributes:
        features: Inputs.
        categories: Categorical feature to its frozen vocabulary.
        means: Mean of each feature over the training rows; 0 for categories.
        scales: Standard deviation of each feature; 1 for categories and constants.
        weights: Intercept, then the columns of :func:`design`.
    """

    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`; always one thread."""
        columns = design(matrix, self.features, self.categories, np.array(self.means), np.array(self.scales))
        # summed by column: a row's sum must not depend on the number of rows
        probability: NDArray[np.float64] = _probability((columns * np.array(self.weights)).sum(axis=1))
        return probability

    def contributions(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """Return each feature's part of the log-odds (rows x features), relative to the intercept.

        That of a number is relative to its mean, that of a category to an unknown one. They are the SHAP values of a
        linear model (Lundberg and Lee, 2017, A unified approach to interpreting model predictions, corollary 1) with
        these values as the background.
        """
        columns = design(matrix, self.features, self.categories, np.array(self.means), np.array(self.scales))
        widths = [len(self.categories[f.name]) if f.kind == "categorical" else 2 for f in self.features]
        ends = np.cumsum(widths) + 1  # the first column is the intercept
        weighted = columns * np.array(self.weights)
        return np.stack(
            [weighted[:, end - width : end].sum(axis=1) for end, width in zip(ends, widths, strict=True)], axis=1
        )

    def card(self, validation_score: float) -> MemberCard:
        """Return the baseline's card."""
        return MemberCard(
            name="logistic",
            kind="logistic",
            engine="logistic regression",
            params={"ridge": RIDGE, "max_rows": MAX_ROWS},
            rounds=0,
            validation_score=validation_score,
        )

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: dump_json(self).encode()}


def load(content: Mapping[str, bytes]) -> Baseline:
    """Load the member from a model folder's files."""
    return load_json(Baseline, content[FILE])


def fit(train: Shard, training_set: TrainingSet) -> Baseline:
    """Fit the baseline to every n-th row of all ranks' shards; all ranks call it, inside the collective.

    Newton's method on the penalized log loss (iteratively reweighted least squares; Hastie, Tibshirani and Friedman,
    The Elements of Statistical Learning, 4.4.1), with sums over all ranks.

    Args:
        train: This rank's training rows.
        training_set: Features with their vocabularies, and the number of rows of all ranks.

    Raises:
        TrainingError: when it does not converge.
    """
    batches = sample(train, training_set)
    inputs = standardized(batches, training_set)
    penalty = inputs.penalties
    weights = np.zeros(len(penalty))
    for _ in range(_MAX_STEPS):
        rows, gradient, curvature = _sums(batches, inputs.columns, weights)
        step = np.linalg.solve(curvature / rows + np.diag(penalty), gradient / rows + penalty * weights)
        largest = float(np.abs(step).max())
        weights -= step * min(1.0, _MAX_STEP / largest) if largest else step
        if largest < _TOLERANCE:
            return Baseline(
                features=inputs.features,
                categories=inputs.categories,
                means=inputs.means,
                scales=inputs.scales,
                weights=tuple(weights.tolist()),
            )
    raise TrainingError(
        f"the baseline does not converge in {_MAX_STEPS} steps",
        where="logistic regression on the training rows",
        how_many=len(weights),
        fix="check the features for infinite or very large values",
    )


def _sums(
    batches: Sequence[tuple[NDArray[np.float32], NDArray[np.float64]]],
    columns_of: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    weights: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return rows, gradient and Hessian of the log loss, summed over batches and ranks."""
    size = len(weights)
    sums = np.zeros((size + 2, size))
    for matrix, labels in batches:
        columns = columns_of(matrix)
        probability = _probability(columns @ weights)
        sums[0, 0] += len(labels)
        sums[1] += columns.T @ (probability - labels)
        sums[2:] += columns.T @ (columns * (probability * (1 - probability))[:, None])
    total = sum_over_ranks(sums)
    return float(total[0, 0]), total[1], total[2:]


def _probability(score: Any) -> Any:
    """Return the logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(score / 2))
