"""Variation of single nights around the whole reference, so that an ordinary night is not reported as drift.

One reference night in twenty counts as an outlier: a night with missing weather must not hide the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nightjar.monitoring.drift.measures import bin_counts, missing_counts, psi, two_sample_test
from nightjar.monitoring.profiles.profile import NightVariation, Profile

MIN_NIGHTS = 5
"""Minimum number of nights to estimate their variation."""

USUAL_QUANTILE = 0.95
"""Share of the reference's nights that count as ordinary: those closest to the whole reference."""


def with_variation(reference: Profile, nights: Sequence[Profile]) -> Profile:
    """Return the reference with the variation of its own nights.

    Args:
        reference: Profile of all nights.
        nights: Profile of each night, in the reference's bins.
    """
    if len(nights) < MIN_NIGHTS:
        return reference
    variation = {}
    for name, column in reference.columns.items():
        own = [night.columns[name] for night in nights]
        usual, design_effect = _variation(bin_counts(column), [bin_counts(night) for night in own])
        missing, missing_effect = _variation(missing_counts(column), [missing_counts(night) for night in own])
        variation[name] = NightVariation(
            psi=usual, design_effect=design_effect, missing_psi=missing, missing_design_effect=missing_effect
        )
    return replace(reference, variation=variation)


def _variation(total: NDArray[np.int64], nights: Sequence[NDArray[np.int64]]) -> tuple[float, float]:
    """Return the 95th percentile of the nights' PSI against the total, and the design effect of those below it."""
    distances = [psi(total, counts) for counts in nights]
    usual = float(np.quantile(distances, USUAL_QUANTILE))
    ordinary = [counts for counts, distance in zip(nights, distances, strict=True) if distance <= usual]
    ordinary_total = np.sum(ordinary, axis=0)
    tests = [two_sample_test(ordinary_total - counts, counts) for counts in ordinary]
    ratios = [statistic / degrees for statistic, degrees, _ in tests if degrees]
    return usual, max(1.0, float(np.mean(ratios))) if ratios else 1.0
