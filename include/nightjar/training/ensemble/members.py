"""Ensembles: weights of the members and calibration, fitted on the validation rows of all ranks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.problems.calibrators import Calibrator
from nightjar.problems.problem_type import ProblemType
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.collective import place, sum_over_ranks
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import Member, outputs_of
from nightjar.training.engines.validation import ValidationMetric
from nightjar.training.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Day = tuple[NDArray[np.float32], list[NDArray[np.float64]]]
    """Labels of a day's rows, and each member's predictions."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Weights and calibration of a model's members; the same on every rank, except for the predictions.

    Attributes:
        weights: Weight of each member; they add up to 1.
        calibrator: Maps the members' common output to the model's.
        threshold: Decision threshold of the calibrated outputs; None when nothing is to fit.
        validation_score: Validation metric of the members' common output, before calibration.
        outputs: Calibrated outputs of this rank's validation rows.
    """

    weights: tuple[float, ...]
    calibrator: Calibrator
    threshold: float | None
    validation_score: float
    outputs: NDArray[np.float64]


def combine(
    members: Sequence[Fitted], validation: Shard, recipe: Recipe, *, threads: int, name: str = "full"
) -> Ensemble:
    """Fit weights and calibration; all ranks call it, inside the collective.

    Args:
        members: Trained members, with the class weights of their training.
        validation: This rank's validation rows.
        recipe: Declares the problem and the calibration.
        threads: Threads of this rank.
        name: Name of the model in the log.

    Raises:
        TrainingError: when predictions are not finite, or no threshold does what is declared; on all ranks.
    """
    by_day = _predict_by_day(members, validation, threads=threads)
    labels, outputs = _joined(by_day)
    metric = ValidationMetric.of(recipe)
    weights = metric.problem.fit_weights(labels, outputs, sum_over_ranks)
    common = metric.problem.blend(outputs, weights)
    validation_score = metric.over_ranks(labels, common, after="the last round")
    rows_by_day = [len(day_labels) for day_labels, _ in by_day]
    calibrator = _calibrate(metric.problem, labels, common, rows_by_day, recipe, name)
    calibrated = calibrator.apply(common)
    return Ensemble(
        weights=weights,
        calibrator=calibrator,
        threshold=metric.problem.fit_threshold(labels, calibrated, sum_over_ranks),
        validation_score=validation_score,
        outputs=calibrated,
    )


def predict_shard(member: Member, shard: Shard, *, threads: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the labels of a shard's rows and a member's predictions, uncorrected."""
    by_day = [(labels, member.predict(matrix, threads=threads)) for matrix, labels in shard.batches()]
    return np.concatenate([labels for labels, _ in by_day]), np.concatenate([predictions for _, predictions in by_day])


def member_outputs(
    members: Sequence[Fitted], matrix: NDArray[np.float32], *, threads: int
) -> list[NDArray[np.float64]]:
    """Return each member's outputs for the rows of ``matrix``, corrected for its class weights."""
    return [outputs_of(fitted.member, fitted.card, matrix, threads=threads) for fitted in members]


def _predict_by_day(members: Sequence[Fitted], shard: Shard, *, threads: int) -> list[_Day]:
    return [(labels, member_outputs(members, matrix, threads=threads)) for matrix, labels in shard.batches()]


def _joined(by_day: Sequence[_Day]) -> tuple[NDArray[np.float32], list[NDArray[np.float64]]]:
    labels = np.concatenate([day_labels for day_labels, _ in by_day])
    return labels, [np.concatenate(parts) for parts in zip(*(predictions for _, predictions in by_day), strict=True)]


def _calibrate(
    problem: ProblemType,
    labels: NDArray[np.float32],
    outputs: NDArray[np.float64],
    rows_by_day: Sequence[int],
    recipe: Recipe,
    name: str,
) -> Calibrator:
    """Fit the recipe's calibration; ``best`` compares methods on the later half of the validation days."""
    rank, world_size = place()
    days = int(sum_over_ranks(np.array([len(rows_by_day)]))[0])
    own_days = len(range(rank, (days + 1) // 2, world_size))  # a rank has every world_size-th day
    cut = sum(rows_by_day[:own_days])
    calibrator, losses = problem.fit_calibrator(recipe.calibration, labels, outputs, cut, sum_over_ranks)
    if rank == 0:
        figures = ", ".join(f"{method} {loss:.4f}" for method, loss in losses.items()) or "not compared"
        log.info(
            "calibration of the %s model: %s (loss on the later validation days: %s)",
            name, calibrator.method, figures,
        )  # fmt: skip
    return calibrator
