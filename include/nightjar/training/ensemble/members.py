"""Ensembles: weights of the members and calibration, fitted on the validation rows of all ranks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
    from numpy.typing import NDArray

    _Day = tuple[NDArray[np.float32], list[NDArray[np.float64]]]
    """Labels of a day's rows, and each member's predictions."""

log = logging.getLogger(__name__)

MIN_WEIGHT = 0.01
"""A member with less weight is left out if that costs less than :data:`MAX_LEFT_OUT_COST`."""
MAX_LEFT_OUT_COST = 1e-4
"""Increase of the log loss, in nats per row."""
_MAX_STEPS = 1000
_TOLERANCE = 1e-6  # nats per row
_MIN_LIKELIHOOD = 1e-12  # limits the influence of a row that all members predict with probability 0


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Weights and calibration of a model's members; the same on every rank, except for the predictions.

    Attributes:
        weights: Weight of each member; they add up to 1.
        calibrator: Maps the members' mean to a probability.
        validation_auc: Validation AUC of the members' mean; calibration keeps the order.
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
        members: Trained members, with the event weight of their training.
        validation: This rank's validation rows.
        recipe: Declares the calibration.
        threads: Threads of this rank.
        name: Name of the model in the log.

    Raises:
        TrainingError: when predictions are not finite; on all ranks.
    """
    by_day = _predict_by_day(members, validation, threads=threads)
    labels, predictions = _joined(by_day)
    weights = fit_weights(labels, predictions)
    mean = blend(predictions, weights)
    validation_auc = auc_over_ranks(labels, mean, after="the last round")
    calibrator = _calibrate(labels, mean, [len(day_labels) for day_labels, _ in by_day], recipe, name)
    return Ensemble(
        weights=weights,
        calibrator=calibrator,
        validation_auc=validation_auc,
        predictions=calibrator.apply(mean),
    )


def predict_shard(member: Member, shard: Shard, *, threads: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the labels of a shard's rows and a member's predictions."""
    by_day = [(labels, member.predict(matrix, threads=threads)) for matrix, labels in shard.batches()]
    return np.concatenate([labels for labels, _ in by_day]), np.concatenate([predictions for _, predictions in by_day])


def predictions_of(
    members: Sequence[Fitted], matrix: NDArray[np.float32], *, threads: int
) -> list[NDArray[np.float64]]:
    """Return each member's probabilities for the rows of ``matrix``, corrected for its event weight."""
    return [probabilities(fitted.member, fitted.card.event_weight, matrix, threads=threads) for fitted in members]


def _predict_by_day(members: Sequence[Fitted], shard: Shard, *, threads: int) -> list[_Day]:
    return [(labels, predictions_of(members, matrix, threads=threads)) for matrix, labels in shard.batches()]


def _joined(by_day: Sequence[_Day]) -> tuple[NDArray[np.float32], list[NDArray[np.float64]]]:
    labels = np.concatenate([day_labels for day_labels, _ in by_day])
    return labels, [np.concatenate(parts) for parts in zip(*(predictions for _, predictions in by_day), strict=True)]


def fit_weights(labels: NDArray[np.float32], predictions: Sequence[NDArray[np.float64]]) -> tuple[float, ...]:
    """Return the weights that minimize the log loss of the members' mean on the rows of all ranks; all ranks call it.

    Expectation maximization for the weights of a mixture (Smyth and Wolpert, 1999, Linearly combining density
    estimators via stacking): each step multiplies a member's weight by its mean share in the likelihood of a row. The
    loss is convex and falls with each step. As the weights add up to 1, the largest factor minus 1 bounds the remaining
    gain; iteration stops when it is below the tolerance.

    Args:
        labels: 0 or 1 for each row of this rank.
        predictions: Each member's probabilities of the same rows.
    """
    if len(predictions) == 1:
        return (1.0,)
    likelihoods = np.stack([np.where(labels == 1, prediction, 1 - prediction) for prediction in predictions])
    likelihoods = np.maximum(likelihoods, _MIN_LIKELIHOOD)
    weights = np.full(len(predictions), 1 / len(predictions))
    for _ in range(_MAX_STEPS):
        factors = _mean_over_ranks(likelihoods / (weights @ likelihoods))
        weights = weights * factors
        if factors.max() - 1 < _TOLERANCE:
            break
    truncated = np.where(weights < MIN_WEIGHT, 0.0, weights)
    sparse = truncated / truncated.sum()
    (costs,) = _mean_over_ranks(np.log(weights @ likelihoods) - np.log(sparse @ likelihoods)[None])
    chosen = sparse if costs < MAX_LEFT_OUT_COST else weights / weights.sum()
    return tuple(chosen.tolist())


def _mean_over_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each line of ``values`` (lines x rows of this rank) over the rows of all ranks."""
    sums = sum_over_ranks(np.append(values.sum(axis=1), float(values.shape[1])))
    means: NDArray[np.float64] = sums[:-1] / sums[-1]
    return means


def _calibrate(
    labels: NDArray[np.float32], predictions: NDArray[np.float64], rows_by_day: Sequence[int], recipe: Recipe, name: str
) -> Calibrator:
    """Fit the recipe's calibration; ``best`` compares methods on the later half of the validation days."""
    rank, world_size = place()
    days = int(sum_over_ranks(np.array([len(rows_by_day)]))[0])
    own_days = len(range(rank, (days + 1) // 2, world_size))  # a rank has every world_size-th day
    cut = sum(rows_by_day[:own_days])
    parts = [auc_counts(labels[part], predictions[part]) for part in (slice(cut), slice(cut, None))]
    earlier, later = sum_over_ranks(np.stack(parts))
    calibrator, losses = calibration.fit(recipe.calibration, earlier, later)
    if rank == 0:
        figures = ", ".join(f"{method} {loss:.4f}" for method, loss in losses.items()) or "not compared"
        log.info(
            "calibration of the %s model: %s (log loss on the later validation days: %s)",
            name, calibrator.method, figures,
        )  # fmt: skip
    return calibrator
