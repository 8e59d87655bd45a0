"""How much single nights differ from the whole reference, so that an ordinary night is not called drift.

One reference night in twenty is taken for extraordinary: a night without its weather must not hide the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nightjar.monitoring.drift.measures import bin_counts, missing_counts, psi, two_sample_test
from nightjar.monitoring.profiles.profile import NightVariation, Profile

MIN_NIGHTS = 5
"""With fewer nights nothing is said about how they vary."""

USUAL_QUANTILE = 0.95
"""Share of the reference's nights that are taken for ordinary, those nearest to all of it."""


def with_variation(reference: Profile, nights: Sequence[Profile]) -> Profile:
    """The reference with what its own nights say about it.

    Args:
        reference: All nights together.
        nights: Each night alone, in the reference's bins.
    """
    if len(nights) < MIN_NIGHTS:
        return reference
    variation = {}
    for name, column in reference.columns.items():
        own = [night.columns[name] for night in nights]
        usual, design_effect = _varies(bin_counts(column), [bin_counts(night) for night in own])
        missing, missing_effect = _varies(missing_counts(column), [missing_counts(night) for night in own])
        variation[name] = NightVariation(
            psi=usual, design_effect=design_effect, missing_psi=missing, missing_design_effect=missing_effect
        )
    return replace(reference, variation=variation)


def _varies(total: NDArray[np.int64], nights: Sequence[NDArray[np.int64]]) -> tuple[float, float]:
    """What ordinary nights stay below in PSI against the total, and their design effect."""
    distances = [psi(total, counts) for counts in nights]
    usual = float(np.quantile(distances, USUAL_QUANTILE))
    ordinary = [counts for counts, distance in zip(nights, distances, strict=True) if distance <= usual]
    together = np.sum(ordinary, axis=0)
    tests = [two_sample_test(together - counts, counts) for counts in ordinary]
    ratios = [statistic / degrees for statistic, degrees, _ in tests if degrees]
    return usual, max(1.0, float(np.mean(ratios))) if ratios else 1.0
