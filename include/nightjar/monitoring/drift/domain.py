"""Domain classifier: drift in the joint distribution of the columns.

Each column may be stable while their correlations change. A small model is trained to separate the reference from the
night; its AUC on held-out rows measures how different they are (Lopez-Paz and Oquab 2017, Revisiting classifier
two-sample tests). The rows of a night share their day, so the weather alone separates any night from three months. So
columns whose values a whole night shares are left out, and the AUC is compared with that of the reference's own nights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nightjar.lake.numbers import to_float32
from nightjar.monitoring.drift.comparison import NO_VARIATION
from nightjar.monitoring.performance.intervals import Interval, delong
from nightjar.monitoring.profiles.profile import Profile
from nightjar.monitoring.profiles.sample import NIGHT_ROWS, SAMPLE_ROWS, Sample, merge_samples

FOLDS = 5
ROUNDS = 20
SEED = 20130401
CONFIDENCE = 0.95
MIN_ROWS = 50
"""Minimum number of rows of the night and of the reference."""

SHARED_PSI = 0.1
"""A night shares a column's values when ordinary nights exceed this PSI (Siddiqi's threshold of some change) ..."""

SHARED_EFFECT = 2.0
"""... and this design effect, which excludes a large PSI that is due to few rows."""

OWN_NIGHTS = 12
"""Number of the reference's own nights for which the usual AUC is computed."""

DomainVerdict = Literal["stable", "drift", "not_judged"]


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Result of the domain classifier for one night.

    Attributes:
        auc: Area under the ROC curve on held-out rows; 0.5 when the rows cannot be separated.
        usual_auc: Largest AUC of one of the reference's own nights against the others; None when unknown.
        shares: Column to its share of the classifier's gain, the largest first.
        reference_rows: Rows of the reference's sample.
        night_rows: Rows of the night's sample.
        columns: Number of columns used.
    """

    auc: Interval
    usual_auc: float | None
    shares: Mapping[str, float]
    reference_rows: int
    night_rows: int
    columns: int

    @property
    def verdict(self) -> DomainVerdict:
        """``drift`` when the whole confidence interval lies above the usual AUC."""
        if self.usual_auc is None:
            return "not_judged"
        return "drift" if self.auc.low > self.usual_auc else "stable"


def to_matrix(sample: Sample, names: Sequence[str], bins: Profile) -> NDArray[np.float32]:
    """Return a sample's columns as a matrix.

    Args:
        sample: Rows of at least the columns ``names``.
        names: The matrix's columns.
        bins: Reference profile; a category becomes its index in the profile's list, an unlisted one the next index.

    Returns:
        A rows x columns matrix; missing values are NaN.
    """
    matrix = np.empty((sample.rows, len(names)), dtype=np.float32)
    for position, name in enumerate(names):
        known, values = bins.columns[name], sample.columns[name]
        if known.kind == "categorical":
            codes: dict[Any, float] = {category: float(i) for i, category in enumerate(known.categories)}
            values = [None if value is None else codes.get(value, float(len(codes))) for value in values]
        matrix[:, position] = to_float32([np.nan if value is None else value for value in values])
    return matrix


def separate_samples(
    reference: Sample, night: Sample, bins: Profile, names: Sequence[str], usual_auc: float | None
) -> Domain | None:
    """Train the classifier with cross-validation; return None without columns or with too few rows.

    Args:
        reference: Sample of the training set.
        night: Sample of the night.
        bins: The training set's profile, which lists categories.
        names: Columns to use.
        usual_auc: Largest AUC of the reference's own nights; None when unknown.
    """
    matrices = to_matrix(reference, names, bins), to_matrix(night, names, bins)
    reference_rows, night_rows = map(len, matrices)
    if not names or min(reference_rows, night_rows) < MIN_ROWS:
        return None
    predictions, gains = _out_of_fold(np.concatenate(matrices), np.repeat([0.0, 1.0], [reference_rows, night_rows]))
    _, ranks = np.unique(predictions, return_inverse=True)
    negatives, positives = (np.bincount(part, minlength=ranks.max() + 1) for part in np.split(ranks, [reference_rows]))
    total = gains.sum()
    order = [int(i) for i in np.argsort(-gains, kind="stable") if gains[i] > 0]
    return Domain(
        auc=delong(negatives, positives, CONFIDENCE),
        usual_auc=usual_auc,
        shares={names[i]: float(gains[i] / total) for i in order},
        reference_rows=reference_rows,
        night_rows=night_rows,
        columns=len(names),
    )


def row_columns(reference: Profile, names: Sequence[str]) -> list[str]:
    """Return the columns whose values the rows of a night do not share; the others would separate any day."""
    variation = {name: reference.variation.get(name, NO_VARIATION) for name in names}
    return [
        name for name in names if variation[name].psi <= SHARED_PSI or variation[name].design_effect <= SHARED_EFFECT
    ]


def compute_usual_auc(nights: Mapping[date, Sample], bins: Profile, names: Sequence[str]) -> float | None:
    """Return the largest AUC of one of the reference's own nights against the others; None with too few nights.

    Args:
        nights: Sample of each night; full size for those of :func:`own_nights`.
        bins: The reference's profile.
        names: Columns to use.
    """
    aucs = []
    for night in own_nights(list(nights)):
        others = [sample for day, sample in nights.items() if day != night]
        if len(others) < OWN_NIGHTS:
            continue
        rest = merge_samples([sample.first(-(-SAMPLE_ROWS // len(others))) for sample in others])
        if domain := separate_samples(rest, nights[night].first(NIGHT_ROWS), bins, names, None):
            aucs.append(domain.auc.value)
    return max(aucs, default=None)


def own_nights(nights: Sequence[date]) -> list[date]:
    """:data:`OWN_NIGHTS` of the nights, evenly spread; all when there are fewer."""
    ordered = sorted(nights)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(OWN_NIGHTS, len(ordered))).round().astype(int))
    return [ordered[place] for place in places]


def _out_of_fold(
    matrix: NDArray[np.float32], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each row's out-of-fold prediction, as rank within its fold, and the gain by column.

    Models of different folds are calibrated differently, so only their order within a fold counts.
    """
    from nightjar.training.engines.libraries import import_xgboost

    xgb = import_xgboost()
    params: dict[str, Any] = {
        "objective": "binary:logistic", "tree_method": "hist", "max_depth": 4, "max_bin": 64, "eta": 0.3,
        "min_child_weight": 5, "subsample": 0.8, "seed": SEED, "nthread": 1,
        "scale_pos_weight": float((labels == 0).sum() / labels.sum()),
    }  # fmt: skip
    random = np.random.default_rng(SEED)
    folds = np.empty(len(labels), dtype=np.int64)
    for label in (0.0, 1.0):  # stratified folds
        (rows,) = np.nonzero(labels == label)
        folds[rows] = random.permutation(np.arange(len(rows)) % FOLDS)
    predictions, gains = np.empty(len(labels)), np.zeros(matrix.shape[1])
    for fold in range(FOLDS):
        held_out = folds == fold
        booster = xgb.train(params, xgb.DMatrix(matrix[~held_out], labels[~held_out]), ROUNDS)
        predicted = booster.predict(xgb.DMatrix(matrix[held_out]))
        predictions[held_out] = np.unique(predicted, return_inverse=True)[1] / len(predicted)
        for name, gain in booster.get_score(importance_type="total_gain").items():
            gains[int(name.removeprefix("f"))] += float(gain)
    return predictions, gains
