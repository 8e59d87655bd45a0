"""The AUC on the validation rows of all ranks: exact, and the same figure on each of them."""

from __future__ import annotations

from typing import Any

from nightjar.evaluation.metrics import auc_counts, auc_of_counts
from nightjar.protocol.errors import TrainingError
from nightjar.training.distributed.collective import sum_over_ranks


def auc_over_ranks(labels: Any, predictions: Any, *, after: str) -> float:
    """AUC from counts that are summed over the ranks; all ranks call it, inside the collective.

    Args:
        labels: 0 or 1, one for each validation row of this rank.
        predictions: Probabilities of the same rows.
        after: What has been done, for the error.

    Raises:
        TrainingError: when predictions are no numbers; on all ranks alike.
    """
    import numpy as np

    numbers = np.isfinite(predictions)
    counts = auc_counts(labels[numbers], predictions[numbers])
    no_numbers = np.full((2, 1), len(numbers) - np.count_nonzero(numbers), dtype=counts.dtype)
    summed = sum_over_ranks(np.hstack([counts, no_numbers]))
    if bad := int(summed[0, -1]):
        raise TrainingError(
            f"{bad} predictions are no numbers after {after}: the loss has diverged",
            where="the engines of the use case's training",
            how_many=bad,
            fix="lower eta (or learning_rate), or raise lambda or min_child_weight (or weight_decay)",
        )
    return auc_of_counts(summed[:, :-1])
