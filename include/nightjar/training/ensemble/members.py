"""Several members, one answer: their weights and its calibration, fitted on the validation rows of all ranks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightjar.evaluation.metrics import auc_counts
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.collective import place, sum_over_ranks
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import Member, probabilities
from nightjar.training.engines.validation_auc import auc_over_ranks
from nightjar.training.ensemble import calibration
from nightjar.training.ensemble.calibration import Calibrator
from nightjar.training.model import blend
from nightjar.training.recipe import Recipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Day = tuple[NDArray[np.float32], list[NDArray[np.float64]]]
    """Labels of a day's rows, and each member's answers to them."""

log = logging.getLogger(__name__)

LEAST_WEIGHT = 0.01
"""A member of less weight is left out, where that costs less than :data:`LEFT_OUT_COSTS`."""
LEFT_OUT_COSTS = 1e-4
"""Nats a row."""
_MAX_STEPS = 1000
_ENOUGH = 1e-6  # nats a row
_LEAST_LIKELIHOOD = 1e-12  # a row that all members think impossible does not decide alone


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """How members answer together; the same on every rank, but for the predictions.

    Attributes:
        weights: Of each member, adding up to 1.
        calibrator: From their mean to a probability.
        validation_auc: Of the members' mean, whose order calibration keeps.
        predictions: Calibrated probabilities of this rank's validation rows.
    """

    weights: tuple[float, ...]
    calibrator: Calibrator
    validation_auc: float
    predictions: NDArray[np.float64]


def combine(
    members: Sequence[Fitted], validation: Shard, recipe: Recipe, *, threads: int, name: str = "full"
) -> Ensemble:
    """Fit weights and calibration; all ranks call it, inside the collective.

    Args:
        members: What the engines have trained, with the weight that events had.
        validation: This rank's validation rows.
        recipe: How outputs are to become probabilities.
        threads: Threads of this rank.
        name: Of the model, for the log.

    Raises:
        TrainingError: when answers are no numbers; on all ranks alike.
    """
    by_day = _answers_by_day(members, validation, threads=threads)
    labels, answers = _joined(by_day)
    weights = fit_weights(labels, answers)
    mean = blend(answers, weights)
    validation_auc = auc_over_ranks(labels, mean, after="the last round")
    calibrator = _calibrate(labels, mean, [len(of_day) for of_day, _ in by_day], recipe, name)
    return Ensemble(
        weights=weights,
        calibrator=calibrator,
        validation_auc=validation_auc,
        predictions=calibrator.apply(mean),
    )


def answers_of(member: Member, shard: Shard, *, threads: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Labels of a shard's rows, and a member's probabilities of them."""
    import numpy as np

    by_day = [(labels, member.predict(matrix, threads=threads)) for matrix, labels in shard.batches()]
    return np.concatenate([labels for labels, _ in by_day]), np.concatenate([answers for _, answers in by_day])


def answers_to(members: Sequence[Fitted], matrix: NDArray[np.float32], *, threads: int) -> list[NDArray[np.float64]]:
    """Each member's probabilities of the rows of ``matrix``, as the model that is made of them weighs them."""
    return [probabilities(one.member, one.card.event_weight, matrix, threads=threads) for one in members]


def _answers_by_day(members: Sequence[Fitted], shard: Shard, *, threads: int) -> list[_Day]:
    return [(labels, answers_to(members, matrix, threads=threads)) for matrix, labels in shard.batches()]


def _joined(by_day: Sequence[_Day]) -> tuple[NDArray[np.float32], list[NDArray[np.float64]]]:
    import numpy as np

    labels = np.concatenate([of_day for of_day, _ in by_day])
    return labels, [np.concatenate(said) for said in zip(*(answers for _, answers in by_day), strict=True)]


def fit_weights(labels: NDArray[np.float32], answers: Sequence[NDArray[np.float64]]) -> tuple[float, ...]:
    """Weights of the members' mean that give the least log loss on the rows of all ranks; all ranks call it.

    Expectation maximisation for the weights of a mixture (Smyth and Wolpert, 1999, Linearly combining density
    estimators via stacking): each step multiplies a member's weight by its mean share in the likelihood of a row. The
    loss is convex and falls with each step. The weights add up to 1, so that the largest of those means, less 1, bounds
    what is left to gain: there it ends.

    Args:
        labels: 0 or 1, one for each row of this rank.
        answers: Each member's probabilities of the same rows.
    """
    import numpy as np

    if len(answers) == 1:
        return (1.0,)
    likelihoods = np.stack([np.where(labels == 1, said, 1 - said) for said in answers])
    likelihoods = np.maximum(likelihoods, _LEAST_LIKELIHOOD)
    weights = np.full(len(answers), 1 / len(answers))
    for _ in range(_MAX_STEPS):
        factors = _mean_over_ranks(likelihoods / (weights @ likelihoods))
        weights = weights * factors
        if factors.max() - 1 < _ENOUGH:
            break
    large = np.where(weights < LEAST_WEIGHT, 0.0, weights)
    few = large / large.sum()
    (costs,) = _mean_over_ranks(np.log(weights @ likelihoods) - np.log(few @ likelihoods)[None])
    chosen = few if costs < LEFT_OUT_COSTS else weights / weights.sum()
    return tuple(chosen.tolist())


def _mean_over_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each line of ``values`` (lines x rows of this rank) over the rows of all ranks."""
    import numpy as np

    sums = sum_over_ranks(np.append(values.sum(axis=1), float(values.shape[1])))
    means: NDArray[np.float64] = sums[:-1] / sums[-1]
    return means


def _calibrate(
    labels: NDArray[np.float32], answers: NDArray[np.float64], rows_by_day: Sequence[int], recipe: Recipe, name: str
) -> Calibrator:
    """The recipe's calibration, judged (where it is ``best``) on the later half of the validation days."""
    import numpy as np

    rank, world_size = place()
    days = int(sum_over_ranks(np.array([len(rows_by_day)]))[0])
    mine = len(range(rank, (days + 1) // 2, world_size))  # a rank has every world_size-th day
    cut = sum(rows_by_day[:mine])
    parts = [auc_counts(labels[part], answers[part]) for part in (slice(cut), slice(cut, None))]
    earlier, later = sum_over_ranks(np.stack(parts))
    calibrator, losses = calibration.fit(recipe.calibration, earlier, later)
    if rank == 0:
        figures = ", ".join(f"{method} {loss:.4f}" for method, loss in losses.items()) or "not judged"
        said = (name, calibrator.method, figures)
        log.info("calibration of the %s model: %s (log loss on the later validation days: %s)", *said)
    return calibrator
