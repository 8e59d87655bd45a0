"""Calibration of several classes' probabilities by a temperature.

The one parameter is fitted to sums over the rows of all ranks, so every rank fits the same temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nightjar.problems.binary.calibration import WORTH, Calibrator
from nightjar.problems.multiclass.metrics import losses_of_rows, positions_of
from nightjar.problems.multiclass.softmax import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks

MIN_TEMPERATURE = 0.05
"""Lowest temperature: labels that all are the most probable class ask for 0."""
MAX_TEMPERATURE = 20.0
"""Highest temperature: predictions without or with inverse signal ask for infinity."""
_MIN_PREDICTION = 1e-12  # keeps the logarithm finite
_MAX_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """Probabilities that are less certain with a temperature above 1, and more certain below; classes keep their order.

    Source: Guo, Pleiss, Sun and Weinberger, 2017, On calibration of modern neural networks, equation 9, with the
    logarithm of the probabilities as logits.

    Attributes:
        method: Tells calibrators apart.
        temperature: Divisor of the logits, above 0; 1 changes nothing.
    """

    method: Literal["temperature"] = "temperature"
    temperature: float

    def apply(self, outputs: Outputs) -> Outputs:
        """Return probabilities (rows x classes) that add up to 1, each row independent of others. NaN is preserved."""
        return softmax(_logits(outputs) / self.temperature)


def fit(
    method: str, labels: Labels, outputs: Outputs, cut: int, sum_over_ranks: SumOverRanks
) -> tuple[Calibrator | Temperature, dict[str, float]]:
    """Fit a calibrator to the rows of all ranks; all ranks call it.

    ``best`` fits a temperature to the earlier rows, and selects it if it lowers the log loss of the later rows by
    :data:`nightjar.problems.binary.calibration.WORTH`. When either part has no rows, ``best`` is ``temperature``, whose
    parameter needs few rows.

    Args:
        method: ``none``, ``temperature`` or ``best``.
        labels: Positions of the classes of this rank's rows, in the order of days.
        outputs: Probabilities (rows x classes).
        cut: Number of this rank's earlier rows.
        sum_over_ranks: Adds arrays over the ranks.

    Returns:
        The calibrator, and each method's mean log loss (nats) on the later rows; empty when methods were not compared.
    """
    losses: dict[str, float] = {}
    if method == "best":
        earlier, later = sum_over_ranks(np.array([cut, len(labels) - cut], dtype=np.float64))
        if earlier and later:
            losses = _compare(labels, outputs, cut, sum_over_ranks)
    if method == "none" or (losses and losses["none"] - losses["temperature"] < WORTH):
        return Calibrator(), losses
    return fit_temperature(labels, outputs, sum_over_ranks), losses


def _compare(labels: Labels, outputs: Outputs, cut: int, sum_over_ranks: SumOverRanks) -> dict[str, float]:
    """Return the mean log loss of the later rows, without a calibration and with that of the earlier rows."""
    fitted = fit_temperature(labels[:cut], outputs[:cut], sum_over_ranks)
    raw, calibrated = outputs[cut:], fitted.apply(outputs[cut:])
    sums = [losses_of_rows(labels[cut:], probabilities).sum() for probabilities in (raw, calibrated)]
    none, temperature, rows = sum_over_ranks(np.array([*sums, len(raw)], dtype=np.float64))
    return {"none": float(none / rows), "temperature": float(temperature / rows)}


def fit_temperature(labels: Labels, outputs: Outputs, sum_over_ranks: SumOverRanks) -> Temperature:
    """Return the temperature with the lowest log loss over the rows of all ranks; all ranks call it.

    Newton's method on the reciprocal of the temperature, in which the loss is convex. A step that leaves the interval
    in which the minimum lies is replaced by the interval's middle.
    """
    logits, positions = _logits(outputs), positions_of(labels)
    of_labels = logits[np.arange(len(positions)), positions]
    low, high, factor = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE, 1.0
    for _ in range(_MAX_STEPS):
        probabilities = softmax(factor * logits)
        mean = (probabilities * logits).sum(axis=1)
        variance = (probabilities * (logits - mean[:, None]) ** 2).sum(axis=1)
        slope, curvature = sum_over_ranks(np.array([(mean - of_labels).sum(), variance.sum()]))
        if slope == 0:
            break
        low, high = (factor, high) if slope < 0 else (low, factor)
        step = factor - slope / curvature if curvature > 0 else np.nan
        following = float(step) if low < step < high else (low + high) / 2
        change, factor = abs(following - factor), following
        if change <= _TOLERANCE * factor:
            break
    return Temperature(temperature=1 / factor)


def _logits(probabilities: Outputs) -> NDArray[np.float64]:
    logits: NDArray[np.float64] = np.log(np.maximum(probabilities.astype(np.float64), _MIN_PREDICTION))
    return logits
