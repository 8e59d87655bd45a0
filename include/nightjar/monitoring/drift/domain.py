"""A domain classifier: can one tell the night's rows from training's, by all columns together, and by which?

Columns may each look as ever while they go together in another way. A small model is trained to tell reference from
night; its AUC on rows that it was not trained on says how well one can (Lopez-Paz and Oquab 2017, Revisiting classifier
two-sample tests). A night's rows share their day: by the weather any night is told from three months for certain, and
that says nothing. So only columns are looked at that nights do not share, and what the reference's own nights reach is
the measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nightjar.monitoring.drift.comparison import NO_VARIATION
from nightjar.monitoring.performance.intervals import Interval, delong
from nightjar.monitoring.profiles.profile import Profile
from nightjar.monitoring.profiles.sample import NIGHT_ROWS, SAMPLE_ROWS, Sample, merge_samples

FOLDS = 5
ROUNDS = 20
SEED = 20130401
CONFIDENCE = 0.95
MIN_ROWS = 50
"""With fewer rows on a side nothing is said."""

SHARED_PSI = 0.1
"""A column is shared by nights when its ordinary ones reach a larger PSI (Siddiqi's mark of some change) ..."""

SHARED_EFFECT = 2.0
"""... and a larger design effect, so that it is not only that they have few rows."""

OWN_NIGHTS = 12
"""So many of the reference's own nights are told from the others."""

DomainVerdict = Literal["stable", "drift", "not_judged"]


@dataclass(frozen=True, kw_only=True)
class Domain:
    """How well a night is told from the reference.

    Attributes:
        auc: Area under the ROC curve on rows that the classifier was not trained on; 0.5 when nothing tells them apart.
        usual_auc: The largest that one of the reference's own nights reached against the others; None when not known.
        shares: Column to its share of the classifier's gain, the most telling first.
        reference_rows: Rows of the reference that were looked at.
        night_rows: Rows of the night.
        columns: Columns that were looked at.
    """

    auc: Interval
    usual_auc: float | None
    shares: Mapping[str, float]
    reference_rows: int
    night_rows: int
    columns: int

    @property
    def verdict(self) -> DomainVerdict:
        """``drift`` when the whole interval lies above what the reference's own nights reach."""
        if self.usual_auc is None:
            return "not_judged"
        return "drift" if self.auc.low > self.usual_auc else "stable"


def separate_samples(
    reference: Sample, night: Sample, bins: Profile, names: Sequence[str], usual_auc: float | None
) -> Domain | None:
    """Train the classifier on all folds but one and ask it about that one, in turn; None for no column or too few rows.

    Args:
        reference: Rows of the training set.
        night: Rows of the night.
        bins: The training set's profile, which lists categories.
        names: Columns to look at.
        usual_auc: What the reference's own nights reach.
    """
    then, now = reference.matrix(names, bins), night.matrix(names, bins)
    if not names or min(len(then), len(now)) < MIN_ROWS:
        return None
    answers, gains = _out_of_fold(np.concatenate([then, now]), np.repeat([0.0, 1.0], [len(then), len(now)]))
    _, ranks = np.unique(answers, return_inverse=True)
    negatives, positives = (np.bincount(part, minlength=ranks.max() + 1) for part in np.split(ranks, [len(then)]))
    total = gains.sum()
    order = [int(i) for i in np.argsort(-gains, kind="stable") if gains[i] > 0]
    return Domain(
        auc=delong(negatives, positives, CONFIDENCE),
        usual_auc=usual_auc,
        shares={names[i]: float(gains[i] / total) for i in order},
        reference_rows=len(then),
        night_rows=len(now),
        columns=len(names),
    )


def row_columns(reference: Profile, names: Sequence[str]) -> list[str]:
    """Those of ``names`` whose values the rows of a night do not share: by the others the day alone is told."""
    varies = {name: reference.variation.get(name, NO_VARIATION) for name in names}
    return [name for name in names if varies[name].psi <= SHARED_PSI or varies[name].design_effect <= SHARED_EFFECT]


def usual_auc(nights: Mapping[date, Sample], bins: Profile, names: Sequence[str]) -> float | None:
    """The largest AUC that one of the reference's own nights reaches against the others; None for too few nights.

    Args:
        nights: Rows of each night, as many as a night's sample has where it is among :func:`own_nights`.
        bins: The reference's profile.
        names: Columns to look at.
    """
    reached = []
    for night in own_nights(list(nights)):
        others = [sample for other, sample in nights.items() if other != night]
        if len(others) < OWN_NIGHTS:
            continue
        rest = merge_samples([sample.first(-(-SAMPLE_ROWS // len(others))) for sample in others])
        if told := separate_samples(rest, nights[night].first(NIGHT_ROWS), bins, names, None):
            reached.append(told.auc.value)
    return max(reached, default=None)


def own_nights(nights: Sequence[date]) -> list[date]:
    """:data:`OWN_NIGHTS` of the nights, evenly spread; all when there are fewer."""
    ordered = sorted(nights)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(OWN_NIGHTS, len(ordered))).round().astype(int))
    return [ordered[place] for place in places]


def _out_of_fold(
    matrix: NDArray[np.float32], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row's answer by the model of the folds without it, as rank within its fold, and gain by column.

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
    for label in (0.0, 1.0):  # as many of each side in every fold
        (rows,) = np.nonzero(labels == label)
        folds[rows] = random.permutation(np.arange(len(rows)) % FOLDS)
    answers, gains = np.empty(len(labels)), np.zeros(matrix.shape[1])
    for fold in range(FOLDS):
        asked = folds == fold
        booster = xgb.train(params, xgb.DMatrix(matrix[~asked], labels[~asked]), ROUNDS)
        found = booster.predict(xgb.DMatrix(matrix[asked]))
        answers[asked] = np.unique(found, return_inverse=True)[1] / len(found)
        for name, gain in booster.get_score(importance_type="total_gain").items():
            gains[int(name.removeprefix("f"))] += float(gain)
    return answers, gains
