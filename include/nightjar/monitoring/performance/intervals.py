"""Confidence intervals from counts by bin and from sums, in closed form and deterministic.

Rows count as independent. Rows of one night share its weather, so an interval covers the chance among rows and not the
differences between nights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its confidence interval."""

    value: float
    low: float
    high: float

    def shifted(self, by: float) -> Interval:
        """Return the interval minus ``by``."""
        return Interval(value=self.value - by, low=self.low - by, high=self.high - by)

    def within(self, low: float, high: float) -> Interval:
        """Return the interval clipped to ``low`` and ``high``."""
        value, first, last = (min(max(end, low), high) for end in (self.value, self.low, self.high))
        return Interval(value=value, low=first, high=last)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A rank metric with its derivatives.

    Attributes:
        value: Value of the metric.
        positive: Derivative with respect to the weight of a positive row, for each bin.
        negative: Derivative with respect to the weight of a negative row, for each bin.
    """

    value: float
    positive: NDArray[np.float64]
    negative: NDArray[np.float64]


def quantile(confidence: float) -> float:
    """Return the standard normal quantile of a two-sided interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def auc(negatives: NDArray[np.float64], positives: NDArray[np.float64]) -> Ranked:
    """Return the area under the ROC curve of rows by bin, ties counting half, with DeLong's placements as derivatives.

    Args:
        negatives: Negative rows per bin, in ascending order of the prediction; may be fractional.
        positives: Positive rows per bin.
    """
    n, m = negatives.sum(), positives.sum()
    below = np.cumsum(negatives) - negatives / 2
    above = m - np.cumsum(positives) + positives / 2
    value = float((positives * below).sum() / (m * n))
    return Ranked(value=value, positive=(below / n - value) / m, negative=(above / m - value) / n)


def delong(negatives: NDArray[np.int64], positives: NDArray[np.int64], confidence: float) -> Interval:
    """Return the AUC with DeLong's interval, in logits so that it stays within 0 and 1.

    DeLong, DeLong and Clarke-Pearson, 1988, Biometrics 44:837; the logit as in Pepe, 2003, The statistical evaluation
    of medical tests, ch. 5. When all pairs are in order this variance is 0; the interval is then that of a share of
    min(n, m) successes without failure (Clopper and Pearson, 1934).
    """
    ranked = auc(negatives.astype(np.float64), positives.astype(np.float64))
    n, m = int(negatives.sum()), int(positives.sum())
    spread = sum(
        float((rows * moves**2).sum()) * total / (total - 1) if total > 1 else math.inf
        for rows, moves, total in ((positives, ranked.positive, m), (negatives, ranked.negative, n))
    )
    if ranked.value in (0.0, 1.0):
        edge = ((1 - confidence) / 2) ** (1 / min(n, m))
        low, high = (edge, 1.0) if ranked.value == 1 else (0.0, 1 - edge)
        return Interval(value=ranked.value, low=low, high=high)
    return within_unit(ranked.value, math.sqrt(spread), confidence)


def average_precision(negatives: NDArray[np.float64], positives: NDArray[np.float64]) -> Ranked:
    """Return the area under the precision-recall curve as average precision of rows by bin, with its derivatives.

    AP = sum over bins b of (positives in b / P) * T_b / (T_b + F_b), with T_b and F_b the positives and negatives in
    bins from b upwards; each bin is a threshold, like equal predictions.

    Args:
        negatives: Negative rows per bin, in ascending order of the prediction; may be fractional.
        positives: Positive rows per bin.
    """
    total = positives.sum()
    true = np.cumsum(positives[::-1])[::-1]
    flagged = true + np.cumsum(negatives[::-1])[::-1]
    is_used = flagged > 0
    precision = np.divide(true, flagged, out=np.zeros(len(true)), where=is_used)
    value = float((positives * precision).sum() / total)
    # a row in bin k is flagged at every threshold b <= k, and changes the precision there
    weight = np.divide(positives, flagged**2, out=np.zeros(len(true)), where=is_used)
    gained, lost = np.cumsum(weight * (flagged - true)), np.cumsum(weight * true)
    return Ranked(value=value, positive=(precision + gained - value) / total, negative=-lost / total)


def jackknife(
    ranked: Ranked, negatives: NDArray[np.int64], positives: NDArray[np.int64], confidence: float
) -> Interval:
    """Return the interval by the infinitesimal jackknife, in logits: the sum of squared influences of rows.

    Jaeckel, 1972; Efron, 1982, The jackknife, the bootstrap and other resampling plans, ch. 6.
    """
    spread = float((positives * ranked.positive**2).sum() + (negatives * ranked.negative**2).sum())
    return within_unit(ranked.value, math.sqrt(spread), confidence)


def within_unit(value: float, deviation: float, confidence: float) -> Interval:
    """Return a normal interval of the value's logit by the delta method; [0, 1] when the deviation is infinite."""
    if not 0 < value < 1:
        return Interval(value=value, low=value, high=value)
    if not math.isfinite(deviation):
        return Interval(value=value, low=0.0, high=1.0)
    centre, half = math.log(value / (1 - value)), quantile(confidence) * deviation / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(end, -700.0), 700.0))) for end in (centre - half, centre + half))
    return Interval(value=value, low=low, high=high)


def mean(total: float, squares: float, rows: int, confidence: float) -> Interval:
    """Return the mean from sum and sum of squares, with a normal interval; infinite for a single row."""
    value = total / rows
    if rows < 2:
        return Interval(value=value, low=-math.inf, high=math.inf)
    variance = max(0.0, squares - total * value) / (rows - 1)
    half = quantile(confidence) * math.sqrt(variance / rows)
    return Interval(value=value, low=value - half, high=value + half)


def share(hits: int, rows: int, confidence: float) -> Interval:
    """Return a share with Wilson's interval (1927, Journal of the American Statistical Association 22:209)."""
    z = quantile(confidence)
    value = hits / rows
    centre = (value + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(value * (1 - value) / rows + z**2 / (4 * rows**2))
    return Interval(value=value, low=max(0.0, centre - half), high=min(1.0, centre + half))
