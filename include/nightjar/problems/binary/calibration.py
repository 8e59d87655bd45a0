"""Calibration of predictions into probabilities.

A calibrator is fitted to counts of rows by prediction (:func:`nightjar.problems.binary.metrics.auc_counts`). Counts add
up over ranks, so every rank fits the same calibrator, and memory does not grow with the rows. The prediction of a bin
is its middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nightjar.problems.binary.metrics import AUC_BINS

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["none", "platt", "isotonic"]
METHODS: tuple[Method, ...] = ("none", "platt", "isotonic")
GROUPS = 128
"""Groups of about equal size to which ``isotonic`` is fitted; it has at most two knots more."""
WORTH = 1e-3
"""Smallest gain of a calibration on later days, in nats per row: smaller differences between weeks are chance."""
MIN_SLOPE = 1e-3
"""Smallest slope of ``platt``: predictions without or with inverse signal keep their order."""
_MIN_PREDICTION = 1e-12  # keeps the logit finite
_SLANT = 1e-3  # slope of the outer lines, so that predictions beyond the outermost knots keep their order
_MAX_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """A monotone map from predictions in [0, 1] to probabilities.

    Attributes:
        method: ``none``: the identity. ``platt``: the logistic function of ``slope`` times the prediction's logit plus
            ``intercept``. ``isotonic``: linear interpolation between ``answers`` and ``probabilities``.
        slope: Slope, above 0.
        intercept: Intercept, in logits.
        answers: Predictions at the knots, rising from 0 to 1.
        probabilities: Probabilities at the knots, rising, above 0 and below 1.
    """

    method: Method = "none"
    slope: float = 1.0
    intercept: float = 0.0
    answers: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    def apply(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one probability for each prediction, independent of the other rows. NaN is preserved."""
        if self.method == "platt":
            return _logistic(self.slope * _logit(predictions) + self.intercept)
        if self.method == "isotonic":
            return self._between_knots(predictions)
        return predictions

    def _between_knots(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate like ``numpy.interp``, whose rounding can change the order of two rows."""
        x, y = np.array(self.answers), np.array(self.probabilities)
        left = np.clip(np.searchsorted(x, predictions, side="right") - 1, 0, len(x) - 2)
        share = (predictions - x[left]) / (x[left + 1] - x[left])
        between: NDArray[np.float64] = np.minimum(y[left] + share * (y[left + 1] - y[left]), y[left + 1])
        return between


def fit(calibration: str, earlier: NDArray[np.int64], later: NDArray[np.int64]) -> tuple[Calibrator, dict[str, float]]:
    """Fit a calibrator to all counts.

    ``best`` fits each method to the earlier days and selects the smallest log loss on the later days; ``none`` is
    selected unless another method gains :data:`WORTH`. When either part has no rows, ``best`` is ``platt``, whose two
    parameters need few rows.

    Args:
        calibration: The method, or ``best``.
        earlier: Rows by prediction, negatives and positives (2 x bins), of the earlier validation days.
        later: The same for the later validation days.

    Returns:
        The calibrator, and each method's mean log loss (nats) on the later days; empty when methods were not compared.
    """
    losses: dict[str, float] = {}
    if calibration == "best" and earlier.sum() and later.sum():
        losses = {method: log_loss(fit_method(method, earlier), later) for method in METHODS}
    return fit_method(_select_method(calibration, losses), earlier + later), losses


def _select_method(calibration: str, losses: Mapping[str, float]) -> str:
    if calibration != "best":
        return calibration
    if not losses:
        return "platt"
    method = min(losses, key=losses.__getitem__)
    return method if losses["none"] - losses[method] >= WORTH else "none"


def fit_method(method: str, counts: NDArray[np.int64]) -> Calibrator:
    """Fit one method to ``counts`` (2 x bins: negatives and positives by prediction)."""
    if method == "platt":
        return _platt(counts)
    return _isotonic(counts) if method == "isotonic" else Calibrator()


def log_loss(calibrator: Calibrator, counts: NDArray[np.int64]) -> float:
    """Return the mean log loss (nats) of ``counts`` (2 x bins: negatives and positives by prediction)."""
    predictions, negatives, positives = _occupied(counts)
    probabilities = calibrator.apply(predictions)
    return float(-(negatives * np.log1p(-probabilities) + positives * np.log(probabilities)).sum() / counts.sum())


def _platt(counts: NDArray[np.int64]) -> Calibrator:
    """Fit a logistic regression on the predictions' logit, with targets moved inward from 0 and 1 (Platt, 1999).

    Newton's method with halved steps (Lin, Lin and Weng, 2007, A note on Platt's probabilistic outputs).
    """
    predictions, negatives, positives = _occupied(counts)
    logits, rows = _logit(predictions), negatives + positives
    high, low = (positives.sum() + 1) / (positives.sum() + 2), 1 / (negatives.sum() + 2)
    targets = (positives * high + negatives * low) / rows
    columns = np.stack([logits, np.ones(len(logits))])

    def loss(weights: NDArray[np.float64]) -> float:
        score = weights[0] * logits + weights[1]
        return float((rows * (np.logaddexp(0, score) - targets * score)).sum())

    weights = np.array([1.0, 0.0])
    for _ in range(_MAX_STEPS):
        probabilities = _logistic(weights[0] * logits + weights[1])
        # plain sums: the result of a matrix product depends on the number of threads
        gradient = (columns * (rows * (probabilities - targets))).sum(axis=1)
        curvature = (columns[:, None] * columns * (rows * probabilities * (1 - probabilities))).sum(axis=2)
        # a small ridge: the slope is not determined when all predictions are equal
        step = np.linalg.solve(curvature + 1e-9 * rows.sum() * np.eye(2), gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > _TOLERANCE:
            step /= 2
        weights = weights - step
        if np.abs(step).max() <= _TOLERANCE:
            break
    slope = max(float(weights[0]), MIN_SLOPE)
    return Calibrator(method="platt", slope=slope, intercept=_intercept(slope * logits, rows, targets))


def _intercept(scores: NDArray[np.float64], rows: NDArray[np.int64], targets: NDArray[np.float64]) -> float:
    """Return the intercept at which the mean probability of ``scores`` equals the targets' mean, by bisection."""
    target_sum = (rows * targets).sum()
    low, high = -100.0, 100.0
    for _ in range(_MAX_STEPS):
        middle = (low + high) / 2
        if (rows * _logistic(scores + middle)).sum() < target_sum:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _isotonic(counts: NDArray[np.int64]) -> Calibrator:
    """Fit an isotonic regression and join the steps' mean predictions by lines, almost flat at both ends.

    Steps with only negatives or only positives are half a row away from 0 and 1.
    """
    predictions, negatives, positives = _occupied(counts)
    rows = negatives + positives
    group = (np.cumsum(rows) - rows) * GROUPS // rows.sum()
    total, hits, weighted = (np.bincount(group, values) for values in (rows, positives, rows * predictions))
    is_occupied = total > 0
    steps = pool_adjacent_violators(np.stack([total[is_occupied], hits[is_occupied], weighted[is_occupied]]))
    half_a_row = 0.5 / rows.sum()
    values = np.clip(steps[1] / steps[0], half_a_row, 1 - half_a_row)
    return Calibrator(
        method="isotonic",
        answers=(0.0, *(steps[2] / steps[0]).tolist(), 1.0),
        probabilities=(
            float(values[0]) * (1 - _SLANT),
            *values.tolist(),
            1 - (1 - float(values[-1])) * (1 - _SLANT),
        ),
    )


def pool_adjacent_violators(groups: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pool adjacent groups until the share of positives rises from each group to the next.

    This is the isotonic regression by least squares and by maximum likelihood (Barlow, Bartholomew, Bremner and Brunk,
    1972).

    Args:
        groups: One column for each group, by rising prediction: rows, positives, and further values to sum.

    Returns:
        The sums, one column for each step.
    """
    steps: list[NDArray[np.float64]] = []
    for column in groups.T:
        step = column
        while steps and steps[-1][1] * step[0] >= step[1] * steps[-1][0]:
            step = steps.pop() + step
        steps.append(step)
    return np.stack(steps, axis=1)


def _occupied(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return middle, negatives and positives of the bins that have rows."""
    (bins,) = np.nonzero(counts.sum(axis=0))
    return (bins + 0.5) / AUC_BINS, counts[0, bins], counts[1, bins]


def _logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probabilities, _MIN_PREDICTION, 1 - _MIN_PREDICTION)
    logits: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return logits


def _logistic(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logistic function; scores are clipped to [-36, 36], as larger ones round to 1."""
    probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(scores, -36.0, 36.0)))
    return probabilities
