"""Whether predictions mean what they say: predicted and observed shares of rows with like predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nightjar.monitoring.performance.intervals import Interval, share
from nightjar.monitoring.performance.summary import NEGATIVE, POSITIVE, Summary, probability_of

GROUPS = 10
"""Of about as many labelled rows each; equal predictions share one. As in ``evaluation.metrics.calibration_error``."""
DRAWS = 1000
SEED = 20130401
_HALVINGS = 20


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows of like predictions.

    Attributes:
        rows: Labelled rows.
        predicted: Their mean prediction.
        observed: Their share of positives.
    """

    rows: int
    predicted: float
    observed: Interval


def groups(summary: Summary, confidence: float) -> list[Group]:
    """The labelled rows in at most :data:`GROUPS` groups, by rising prediction; none without a label."""
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


def calibration_error(found: list[Group], confidence: float) -> Interval:
    """Mean distance of predicted from observed share over the groups, freed of what chance alone gives.

    The expected calibration error with bins of equal counts (Naeini, Cooper and Hauskrecht, 2015) is above 0 for
    perfect probabilities too: with 100 rows a group, by about 0.03. So the distance t is looked for by which all groups
    would have to be off for the error as counted to be the median of what chance (a normal law in each group) makes of
    it, and those for which it would be a quantile at either end: a median-unbiased estimate and an interval by
    inverting the test (Neyman, 1937). One seed, so that the same groups give the same figures.
    """
    rows = np.array([group.rows for group in found], float)
    weights = rows / rows.sum()
    observed = np.array([group.observed.value for group in found])
    smoothed = (observed * rows + 1) / (rows + 2)
    noise = np.random.default_rng(SEED).standard_normal((DRAWS, len(found)))
    noise *= np.sqrt(smoothed * (1 - smoothed) / rows)
    raw = float(np.abs(np.array([group.predicted for group in found]) - observed) @ weights)
    tail = (1 - confidence) / 2

    def off_by(level: float) -> float:
        """The distance at which ``raw`` is this quantile of the error; 0 where it is below it without any."""
        low, high = 0.0, raw  # chance adds to the error: it cannot have been larger, but for the sake of a tail
        while np.quantile(np.abs(high + noise) @ weights, level) < raw:
            high *= 2
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if np.quantile(np.abs(middle + noise) @ weights, level) < raw:
                low = middle
            else:
                high = middle
        return low

    return Interval(value=off_by(0.5), low=off_by(1 - tail), high=off_by(tail))
