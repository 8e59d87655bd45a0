"""How much single nights differ from the whole reference, so that an ordinary night is not called drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nightjar.monitoring.measures import bin_counts, psi, two_sample_test
from nightjar.monitoring.profile import NightVariation, Profile

MIN_NIGHTS = 5
"""With fewer nights nothing is said about how they vary."""

USUAL_QUANTILE = 0.95


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
        total = bin_counts(column)
        counted = [bin_counts(night.columns[name]) for night in nights]
        distances = [psi(total, counts) for counts in counted]
        tests = [two_sample_test(total - counts, counts) for counts in counted]
        ratios = [statistic / degrees for statistic, degrees, _ in tests if degrees]
        variation[name] = NightVariation(
            psi=float(np.quantile(distances, USUAL_QUANTILE)),
            design_effect=max(1.0, float(np.mean(ratios))) if ratios else 1.0,
        )
    return replace(reference, variation=variation)
