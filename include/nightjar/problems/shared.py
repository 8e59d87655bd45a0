"""What most problem types have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks


class WithoutThreshold:
    """A problem type whose decisions have no threshold to fit."""

    def fit_threshold(self, labels: Labels, outputs: Outputs, sum_over_ranks: SumOverRanks) -> float | None:
        """Return None."""
        return None

    def with_threshold(self, threshold: float | None) -> Self:
        """Return the problem type as it is."""
        return self


class WithoutSkill:
    """A problem type whose metrics each follow from the model alone."""

    def compare(self, metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Return nothing."""
        return {}
