"""The metric that training watches on the validation days: its value over all ranks, best rounds, early stopping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.quality import QualityMetric
from nightjar.problems.arrays import are_finite
from nightjar.problems.problem_type import ProblemType
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import TrainingError
from nightjar.training.distributed.collective import sum_over_ranks
from nightjar.training.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs


@dataclass(frozen=True)
class ValidationMetric:
    """The metric of early stopping, tuning and selection: the gate's, where sums over rows give it.

    Attributes:
        problem: The problem type.
        metric: Name and direction.
    """

    problem: ProblemType
    metric: QualityMetric

    @classmethod
    def of(cls, recipe: Recipe) -> ValidationMetric:
        """Return the metric of a recipe."""
        problem = problem_type(recipe.problem)
        return cls(problem, problem.validation_metric(recipe.decisive_metric))

    @property
    def name(self) -> str:
        """Name of the metric."""
        return self.metric.name

    def over_ranks(self, labels: Labels, outputs: NDArray[np.floating[Any]], *, after: str) -> float:
        """Return the metric of the rows of all ranks; all ranks call it, inside the collective.

        Args:
            labels: Labels of this rank's validation rows.
            outputs: What is predicted for the same rows.
            after: Last step of the training, for the error.

        Raises:
            TrainingError: when predictions are not finite; on all ranks.
        """
        predicted = outputs.astype(np.float64)
        is_finite = are_finite(predicted)
        sums = self.problem.validation_sums(self.name, labels[is_finite], predicted[is_finite])
        not_finite = len(is_finite) - np.count_nonzero(is_finite)
        summed = sum_over_ranks(np.append(sums, np.array([not_finite], dtype=sums.dtype)))
        if bad := int(summed[-1]):
            raise TrainingError(
                f"{bad} predictions are not finite after {after}: the loss has diverged",
                where="the engines of the use case's training",
                how_many=bad,
                fix="lower eta (or learning_rate), or raise lambda or min_child_weight (or weight_decay)",
            )
        return self.problem.validation_value(self.name, summed[:-1])

    def of_rows(self, labels: Labels, outputs: Outputs) -> float:
        """Return the metric of rows of this process alone."""
        return self.problem.validation_value(self.name, self.problem.validation_sums(self.name, labels, outputs))

    def best_round(self, history: Sequence[float]) -> int:
        """Return the first round with the best value, counted from 0."""
        return history.index(self.metric.best(history))

    def stalled(self, history: Sequence[float], patience: int | None) -> bool:
        """Whether the last ``patience`` rounds have not improved the best value; always false when it is None."""
        return patience is not None and bool(history) and len(history) - 1 - self.best_round(history) >= patience
