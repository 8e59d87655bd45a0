"""Calibration: predicted and observed shares of rows with similar predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nightjar.monitoring.performance.binary.summary import NEGATIVE, POSITIVE, Summary, probability_of
from nightjar.monitoring.performance.intervals import Interval, share

GROUPS = 10
"""Groups of about equally many labelled rows; equal predictions share one, as in ``problems.binary.metrics``."""
DRAWS = 1000
SEED = 20130401
_HALVINGS = 20


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows with similar predictions.

    Attributes:
        rows: Labelled rows.
        predicted: Mean prediction.
        observed: Share of positives.
    """

    rows: int
    predicted: float
    observed: Interval


def group_rows(summary: Summary, confidence: float) -> list[Group]:
    """Split the labelled rows into at most :data:`GROUPS` groups in ascending order of the prediction."""
    negatives, positives = summary.counts[NEGATIVE], summary.counts[POSITIVE]
    rows = negatives + positives
    total = int(rows.sum())
    if not total:
        return []
    place = np.minimum((2 * np.cumsum(rows) - rows) * GROUPS // (2 * total), GROUPS - 1)
    weighted = np.bincount(place, rows * probability_of(summary.bins), minlength=GROUPS)
    sizes, hits = (np.bincount(place, values, minlength=GROUPS).astype(np.int64) for values in (rows, positives))
    return [
        Group(rows=int(n), predicted=float(w / n), observed=share(int(k), int(n), confidence))
        for n, k, w in zip(sizes, hits, weighted, strict=True)
        if n
    ]


def calibration_error(groups: list[Group], confidence: float) -> Interval:
    """Return the mean distance of predicted from observed shares over the groups, corrected for chance.

    The expected calibration error with equal-count bins (Naeini, Cooper and Hauskrecht, 2015) is above 0 for perfect
    probabilities too: about 0.03 with 100 rows per group. The estimate is the distance t, equal in all groups, for
    which the observed error is the median under normal noise in each group; the ends of the interval are the distances
    for which it is a quantile. This gives a median-unbiased estimate and an interval by test inversion (Neyman, 1937).
    The seed is fixed, so that equal groups give equal results.
    """
    rows = np.array([group.rows for group in groups], float)
    weights = rows / rows.sum()
    observed = np.array([group.observed.value for group in groups])
    smoothed = (observed * rows + 1) / (rows + 2)
    noise = np.random.default_rng(SEED).standard_normal((DRAWS, len(groups)))
    noise *= np.sqrt(smoothed * (1 - smoothed) / rows)
    raw = float(np.abs(np.array([group.predicted for group in groups]) - observed) @ weights)
    tail = (1 - confidence) / 2

    def distance_at(level: float) -> float:
        """Return the distance at which ``raw`` is this quantile of the error; 0 if it is lower without distance."""
        low, high = 0.0, raw  # noise adds to the error, so only a tail quantile needs a larger distance
        while np.quantile(np.abs(high + noise) @ weights, level) < raw:
            high *= 2
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if np.quantile(np.abs(middle + noise) @ weights, level) < raw:
                low = middle
            else:
                high = middle
        return low

    return Interval(value=distance_at(0.5), low=distance_at(1 - tail), high=distance_at(tail))
