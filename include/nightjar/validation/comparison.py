"""Compare a night's figures of a column with those of the last nights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np

from nightjar.validation.expected_range import MIN_NIGHTS, ExpectedRange, expected_range
from nightjar.validation.figures import QUANTILES, Figures
from nightjar.validation.judged import REJECTED, NightFigures

NEVER_NEGATIVE = {"rows", "distinct", "null_share", REJECTED, "std"}


def expected_range_of(
    figure: str, column: str, night: date, tonight: NightFigures, history: Mapping[date, NightFigures]
) -> ExpectedRange | None:
    """Return the expected range of a figure tonight; None with too few nights."""
    earlier = of_column(history, column)
    values = {day: value for day, figures in earlier.items() if (value := value_of(figures, figure)) is not None}
    center = float(np.median(list(values.values()))) if values else 0.0
    noise = _noise(figure, center, tonight[column], earlier)
    limits = expected_range(list(values.values()), list(values), night, noise=noise)
    if limits is None or figure not in NEVER_NEGATIVE:
        return limits
    return replace(limits, low=max(0.0, limits.low))


def value_of(figures: Figures, figure: str) -> float | None:
    """Return a figure by its name, also :data:`nightjar.validation.judged.REJECTED`; None where undefined."""
    return figures.null_share if figure == REJECTED else figures.value(figure)


def _noise(figure: str, center: float, tonight: Figures, history: Mapping[date, Figures]) -> float:
    """Return the minimum standard deviation of a figure, from sampling noise or negligible changes."""
    if figure in {"rows", "distinct"}:
        return max(1.0, 0.02 * center)
    if figure in {"null_share", REJECTED}:  # binomial standard error, plus half a row
        rows = max(1, tonight.rows)
        return float(np.sqrt(center * (1 - center) / rows)) + 0.5 / rows
    spreads = [figures.std for figures in history.values() if figures.std is not None]
    return 0.1 * float(np.sqrt(np.mean(np.square(spreads)))) + 1e-9 * abs(center)


def of_column(history: Mapping[date, NightFigures], column: str) -> dict[date, Figures]:
    """Return the figures of ``column`` by night, without nights that lack them."""
    return {day: figures[column] for day, figures in history.items() if column in figures}


def distance_from(tonight: Figures, history: Mapping[date, Figures]) -> float | None:
    """Return the distance defined in :func:`nightjar.declaration.rules.like_usual`."""
    if len(history) < MIN_NIGHTS:
        return None
    if tonight.categories:
        return total_variation(tonight.categories, mean_shares(history))
    spreads = [figures.std for figures in history.values() if figures.std is not None]
    if not tonight.quantiles or not spreads:
        return None
    spread = float(np.sqrt(np.mean(np.square(spreads)))) or 1.0
    shifts = [
        abs(
            tonight.quantiles[name]
            - float(np.median([figures.quantiles[name] for figures in history.values() if figures.quantiles]))
        )
        for name in QUANTILES
    ]
    return max(shifts) / spread


def mean_shares(history: Mapping[date, Figures]) -> dict[str, float]:
    """Return the mean share of each category over the nights; a category counts as 0 on nights without it."""
    names = {name for figures in history.values() for name in figures.categories}
    return {name: sum(figs.categories.get(name, 0.0) for figs in history.values()) / len(history) for name in names}


def total_variation(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Return half the sum of absolute differences of two sets of shares: 0 for equal, 1 for disjoint."""
    return 0.5 * sum(abs(a.get(name, 0.0) - b.get(name, 0.0)) for name in a.keys() | b.keys())
