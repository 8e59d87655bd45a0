"""Estimates with confidence intervals from counts by bin and from sums. Closed forms, so that a rerun says the same.

Rows are taken for independent draws. Those of one night share its weather: an interval says what chance among the rows
does, and not by how much nights differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.quality import QUALITY_METRICS
from nightjar.declaration.training import Cost

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with the ends of its confidence interval."""

    value: float
    low: float
    high: float

    def shifted(self, by: float) -> Interval:
        """The same, less ``by``."""
        return Interval(value=self.value - by, low=self.low - by, high=self.high - by)

    def within(self, low: float, high: float) -> Interval:
        """The same, where it lies within ``low`` and ``high``."""
        value, first, last = (min(max(end, low), high) for end in (self.value, self.low, self.high))
        return Interval(value=value, low=first, high=last)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A figure of ranks, and how each row moves it.

    Attributes:
        value: The figure.
        positive: By how much it grows with the weight of a positive row in each bin: the derivative.
        negative: The same for a negative row.
    """

    value: float
    positive: NDArray[np.float64]
    negative: NDArray[np.float64]


def greatest(metric: str, cost: Cost | None) -> float:
    """The greatest value that the metric can take, which is at least 0 always."""
    if metric == "label_rate":
        return 1.0
    if metric == "expected_cost" and cost:
        return max(cost.missed, cost.false_alarm)
    return QUALITY_METRICS[metric].high


def quantile(confidence: float) -> float:
    """The standard normal quantile of a two-sided interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def auc(negatives: NDArray[np.float64], positives: NDArray[np.float64]) -> Ranked:
    """Area under the ROC curve of rows by bin, ties counting half, with DeLong's placements as derivatives.

    Args:
        negatives: Rows of each bin, by rising prediction; need not be whole.
        positives: The same.
    """
    n, m = negatives.sum(), positives.sum()
    below = np.cumsum(negatives) - negatives / 2
    above = m - np.cumsum(positives) + positives / 2
    value = float((positives * below).sum() / (m * n))
    return Ranked(value=value, positive=(below / n - value) / m, negative=(above / m - value) / n)


def delong(negatives: NDArray[np.int64], positives: NDArray[np.int64], confidence: float) -> Interval:
    """The AUC with DeLong's variance, in logits so that it stays within 0 and 1.

    DeLong, DeLong and Clarke-Pearson, 1988, Biometrics 44:837; the logit as in Pepe, 2003, The statistical evaluation
    of medical tests, ch. 5. Where all pairs are in order that variance is 0; then by the pairs that share no row, as
    for a share of which none has failed (Clopper and Pearson, 1934).
    """
    found = auc(negatives.astype(np.float64), positives.astype(np.float64))
    n, m = int(negatives.sum()), int(positives.sum())
    spread = sum(
        float((rows * moves**2).sum()) * total / (total - 1) if total > 1 else math.inf
        for rows, moves, total in ((positives, found.positive, m), (negatives, found.negative, n))
    )
    if found.value in (0.0, 1.0):
        edge = ((1 - confidence) / 2) ** (1 / min(n, m))
        low, high = (edge, 1.0) if found.value == 1 else (0.0, 1 - edge)
        return Interval(value=found.value, low=low, high=high)
    return within_unit(found.value, math.sqrt(spread), confidence)


def average_precision(negatives: NDArray[np.float64], positives: NDArray[np.float64]) -> Ranked:
    """Area under the precision-recall curve as average precision of rows by bin, with its derivatives.

    AP = sum over bins b of (positives in b / P) * T_b / (T_b + F_b), with T_b and F_b the positives and negatives from
    b on upwards; each bin is a threshold, as equal predictions are.

    Args:
        negatives: Rows of each bin, by rising prediction; need not be whole.
        positives: The same.
    """
    total = positives.sum()
    true = np.cumsum(positives[::-1])[::-1]
    announced = true + np.cumsum(negatives[::-1])[::-1]
    there = announced > 0
    precision = np.divide(true, announced, out=np.zeros(len(true)), where=there)
    value = float((positives * precision).sum() / total)
    # a row in bin k is announced at every threshold b <= k, and changes the precision there
    weight = np.divide(positives, announced**2, out=np.zeros(len(true)), where=there)
    gained, lost = np.cumsum(weight * (announced - true)), np.cumsum(weight * true)
    return Ranked(value=value, positive=(precision + gained - value) / total, negative=-lost / total)


def jackknife(found: Ranked, negatives: NDArray[np.int64], positives: NDArray[np.int64], confidence: float) -> Interval:
    """The interval by the infinitesimal jackknife: rows' squared influences added up (Jaeckel, 1972; Efron, 1982,
    The jackknife, the bootstrap and other resampling plans, ch. 6), in logits."""
    spread = float((positives * found.positive**2).sum() + (negatives * found.negative**2).sum())
    return within_unit(found.value, math.sqrt(spread), confidence)


def within_unit(value: float, deviation: float, confidence: float) -> Interval:
    """A normal interval of the figure's logit, by the delta method; all of [0, 1] where nothing is known."""
    if not 0 < value < 1:
        return Interval(value=value, low=value, high=value)
    if not math.isfinite(deviation):
        return Interval(value=value, low=0.0, high=1.0)
    centre, half = math.log(value / (1 - value)), quantile(confidence) * deviation / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(end, -700.0), 700.0))) for end in (centre - half, centre + half))
    return Interval(value=value, low=low, high=high)


def mean(total: float, squares: float, rows: int, confidence: float) -> Interval:
    """The mean of rows by their sum and sum of squares, with a normal interval; the whole line for a single row."""
    value = total / rows
    if rows < 2:
        return Interval(value=value, low=-math.inf, high=math.inf)
    variance = max(0.0, squares - total * value) / (rows - 1)
    half = quantile(confidence) * math.sqrt(variance / rows)
    return Interval(value=value, low=value - half, high=value + half)


def share(hits: int, rows: int, confidence: float) -> Interval:
    """A share with Wilson's interval (1927, Journal of the American Statistical Association 22:209)."""
    z = quantile(confidence)
    value = hits / rows
    centre = (value + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(value * (1 - value) / rows + z**2 / (4 * rows**2))
    return Interval(value=value, low=max(0.0, centre - half), high=min(1.0, centre + half))
