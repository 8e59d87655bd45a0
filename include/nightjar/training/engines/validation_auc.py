"""The exact AUC on the validation rows of all ranks, equal on every rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from nightjar.evaluation.metrics import auc_counts, auc_of_counts
from nightjar.protocol.errors import TrainingError
from nightjar.training.distributed.collective import sum_over_ranks


def auc_over_ranks(labels: Any, predictions: Any, *, after: str) -> float:
    """Return the AUC of counts summed over the ranks; all ranks call it, inside the collective.

    Args:
        labels: 0 or 1 for each validation row of this rank.
        predictions: Probabilities of the same rows.
        after: Last step of the training, for the error.

    Raises:
        TrainingError: when predictions are not finite; on all ranks.
    """
    is_finite = np.isfinite(predictions)
    counts = auc_counts(labels[is_finite], predictions[is_finite])
    invalid = np.full((2, 1), len(is_finite) - np.count_nonzero(is_finite), dtype=counts.dtype)
    summed = sum_over_ranks(np.hstack([counts, invalid]))
    if invalid_count := int(summed[0, -1]):
        raise TrainingError(
            f"{invalid_count} predictions are not finite after {after}: the loss has diverged",
            where="the engines of the use case's training",
            how_many=invalid_count,
            fix="lower eta (or learning_rate), or raise lambda or min_child_weight (or weight_decay)",
        )
    return auc_of_counts(summed[:, :-1])
