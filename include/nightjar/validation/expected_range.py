"""The expected range of a figure tonight, from the last nights: seasonal and robust. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

HISTORY_NIGHTS = 42
"""Number of preceding nights to compare with: six of each weekday."""
MIN_NIGHTS = 14
"""Minimum number of nights for an expected range."""
MIN_SAME_WEEKDAY = 3
"""Minimum number of nights of one weekday for its own shift."""
SPREADS = 8.0
"""Robust standard deviations from the center beyond which a night may be unusual."""
BEYOND_RANGE = 0.5
"""Margin, as a share of the last nights' range, by which an unusual night also lies outside that range.

Storms and holidays are part of the range."""
_MAD_TO_STD = 1.4826
_CENTRAL_90_TO_STD = 3.29


@dataclass(frozen=True)
class ExpectedRange:
    """Usual value of a figure, and its expected range."""

    center: float
    low: float
    high: float


def expected_range(
    history: Sequence[float], nights: Sequence[date], tonight: date, *, noise: float
) -> ExpectedRange | None:
    """Return the expected range of a figure tonight; None with fewer than :data:`MIN_NIGHTS` nights.

    The center is the median, shifted by the median residual of tonight's weekday. The spread is the largest of the MAD
    of the residuals, their central 90 %, and ``noise``. Calibrated on the flights of 2013: 12 of 351 nights are
    unusual, each with a storm, a holiday or missing weather (``make corruptions`` recounts them).

    Args:
        history: Values on earlier nights, all finite.
        nights: The earlier nights.
        tonight: Night to judge.
        noise: Standard deviation of the figure by chance alone.
    """
    if len(history) < MIN_NIGHTS:
        return None
    values = np.asarray(history, dtype=float)
    weekdays = np.array([night.weekday() for night in nights])
    median = float(np.median(values))
    shift = {day: _shift(values[weekdays == day] - median) for day in np.unique(weekdays)}
    residuals = values - median - np.array([shift[day] for day in weekdays])
    center = median + shift.get(tonight.weekday(), 0.0)
    spread = max(_robust_std(residuals), noise)
    margin = BEYOND_RANGE * float(values.max() - values.min())
    low = min(center - SPREADS * spread, float(values.min()) - margin)
    high = max(center + SPREADS * spread, float(values.max()) + margin)
    return ExpectedRange(center, low, high)


def _shift(residuals: NDArray[np.float64]) -> float:
    return float(np.median(residuals)) if residuals.size >= MIN_SAME_WEEKDAY else 0.0


def _robust_std(residuals: NDArray[np.float64]) -> float:
    mad = _MAD_TO_STD * float(np.median(np.abs(residuals)))
    low, high = np.quantile(residuals, [0.05, 0.95])
    return max(mad, float(high - low) / _CENTRAL_90_TO_STD)
