"""Several members, one answer: their weights and its calibration, fitted on the validation rows of all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightjar.training.calibration import Calibrator
from nightjar.training.member import Member
from nightjar.training.model import blend
from nightjar.training.recipe import Recipe
from nightjar.training.shards import Shard
from nightjar.training.validation_auc import auc_over_ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """How members answer together; the same on every rank, but for the predictions.

    Attributes:
        weights: Of each member, adding up to 1.
        calibrator: From their mean to a probability.
        validation_auc: Of the calibrated probabilities.
        predictions: Calibrated probabilities of this rank's validation rows.
    """

    weights: tuple[float, ...]
    calibrator: Calibrator
    validation_auc: float
    predictions: NDArray[np.float64]


def combine(members: Sequence[Member], validation: Shard, recipe: Recipe, *, threads: int) -> Ensemble:
    """Fit weights and calibration; all ranks call it, inside the collective.

    Args:
        members: What the engines have trained.
        validation: This rank's validation rows.
        recipe: How outputs are to become probabilities.
        threads: Threads of this rank.
    """
    labels, answers = answers_of(members, validation, threads=threads)
    weights = (1 / len(members),) * len(members)
    calibrator = Calibrator()
    predictions = calibrator.apply(blend(answers, weights))
    return Ensemble(
        weights=weights,
        calibrator=calibrator,
        validation_auc=auc_over_ranks(labels, predictions, after="the last round"),
        predictions=predictions,
    )


def answers_of(
    members: Sequence[Member], shard: Shard, *, threads: int
) -> tuple[NDArray[np.float32], list[NDArray[np.float64]]]:
    """Labels of a shard's rows, and what each member says of them."""
    import numpy as np

    labels = []
    answers: list[list[NDArray[np.float64]]] = [[] for _ in members]
    for matrix, of_batch in shard.batches():
        labels.append(of_batch)
        for said, member in zip(answers, members, strict=True):
            said.append(member.predict(matrix, threads=threads))
    return np.concatenate(labels), [np.concatenate(said) for said in answers]
