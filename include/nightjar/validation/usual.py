"""What the last nights were like, and what tonight may be: seasonal and robust. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

HISTORY_NIGHTS = 42
"""Nights before tonight that are looked at: six of each weekday."""
MIN_NIGHTS = 14
"""With fewer, nothing is said of what is usual."""
MIN_SAME_WEEKDAY = 3
"""So many nights of tonight's weekday say how it differs from the others."""
SPREADS = 8.0
"""Tonight is unusual beyond so many robust standard deviations ..."""
BEYOND_RANGE = 0.5
"""... that also lie beyond the range of the last nights, by this share of it: real storms and holidays are in it."""
_MAD_TO_STD = 1.4826
_CENTRAL_90_TO_STD = 3.29


@dataclass(frozen=True)
class Usual:
    """What a figure usually is on a night like tonight, and between which values it is taken for ordinary."""

    center: float
    low: float
    high: float


def usual(history: Sequence[float], nights: Sequence[date], tonight: date, *, noise: float) -> Usual | None:
    """What a figure may be tonight; None when there are fewer than :data:`MIN_NIGHTS` nights.

    The center is the median, shifted to tonight's weekday by the median of that weekday's residuals. The spread is the
    largest of the residuals' MAD, their central 90 % and ``noise``. Calibrated on the flights of 2013: of 351 nights
    12 stand out, each with a storm, a holiday or missing weather (``make corruptions`` counts them again).

    Args:
        history: The figure on earlier nights, each finite.
        nights: Those nights.
        tonight: The night to judge.
        noise: Standard deviation that chance alone gives the figure.
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
    return Usual(center, low, high)


def _shift(residuals: NDArray[np.float64]) -> float:
    return float(np.median(residuals)) if residuals.size >= MIN_SAME_WEEKDAY else 0.0


def _robust_std(residuals: NDArray[np.float64]) -> float:
    mad = _MAD_TO_STD * float(np.median(np.abs(residuals)))
    low, high = np.quantile(residuals, [0.05, 0.95])
    return max(mad, float(high - low) / _CENTRAL_90_TO_STD)
