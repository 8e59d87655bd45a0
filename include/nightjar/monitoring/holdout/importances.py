"""What each feature is worth to a model: by shuffling it, by the gain of its splits, and by its SHAP values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.training.engines.member import Trees
from nightjar.training.engines.validation import ValidationMetric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels
    from nightjar.training.model import TabularModel


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows of the holdout by which features are judged.

    Attributes:
        matrix: Encoded rows of the model.
        labels: Their encoded labels.
    """

    matrix: NDArray[np.float32]
    labels: Labels


def importances_of(
    model: TabularModel, metric: ValidationMetric, sample: Sample, *, seed: int, threads: int
) -> Mapping[str, Mapping[str, float]]:
    """Return the features' importances, by kind and feature, the largest first.

    ``permutation``: by how much the metric of the whole model is worse when the feature's values are shuffled among the
    rows (Breiman, 2001, Random forests, section 10). ``gain`` and ``mean_abs_shap``: share of the gain of all splits,
    and mean absolute SHAP value (Lundberg et al., 2020), each the weighted mean of the members that are trees; without
    trees they are left out.

    Args:
        model: The model.
        metric: The metric that training watched.
        sample: Rows of the holdout.
        seed: Seed of the shuffles.
        threads: Threads of the model.
    """
    names = [feature.name for feature in model.card.features]
    found = {"permutation": _permuted(model, metric, sample, seed, threads)}
    explained = [
        (card.weight, member)
        for card, member in zip(model.card.members, model.members, strict=True)
        if isinstance(member, Trees) and card.weight
    ]
    if explained:
        total = sum(weight for weight, _ in explained)
        gains = [weight / total * _shares(member.gains()) for weight, member in explained]
        found["gain"] = np.sum(gains, axis=0)
        shap = [weight / total * _mean_absolute(member, sample, threads) for weight, member in explained]
        found["mean_abs_shap"] = np.sum(shap, axis=0)
    return {kind: _ordered(names, values) for kind, values in found.items()}


def _permuted(
    model: TabularModel, metric: ValidationMetric, sample: Sample, seed: int, threads: int
) -> NDArray[np.float64]:
    random, matrix = np.random.default_rng(seed), sample.matrix.copy()

    def measure() -> float:
        return metric.of_rows(sample.labels, model.predict_matrix(matrix, threads=threads))

    unshuffled = measure()
    lost = np.zeros(matrix.shape[1])
    for column in range(matrix.shape[1]):
        values = matrix[:, column].copy()
        matrix[:, column] = random.permutation(values)
        lost[column] = metric.metric.worse_by(measure(), unshuffled)
        matrix[:, column] = values
    return lost


def _shares(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    total = gains.sum()
    return gains / total if total else gains


def _mean_absolute(member: Trees, sample: Sample, threads: int) -> NDArray[np.float64]:
    absolute = np.abs(member.contributions(sample.matrix, threads=threads).astype(np.float64))
    mean: NDArray[np.float64] = absolute.reshape(-1, absolute.shape[-1]).mean(axis=0)
    return mean


def _ordered(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    order = np.argsort(-values, kind="stable")
    return {names[place]: float(values[place]) for place in order}
