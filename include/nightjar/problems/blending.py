"""The common output of an ensemble's members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.problems.arrays import Outputs


def weighted_mean(outputs: Sequence[Outputs], weights: Sequence[float]) -> Outputs:
    """Return the weighted mean of the members' outputs, row by row; that of a single member is its output.

    Args:
        outputs: Output of each member, all of the same shape.
        weights: Weight of each member; they add up to 1.
    """
    if len(outputs) == 1:
        return outputs[0]
    mean: Outputs = sum(weight * output for weight, output in zip(weights, outputs, strict=True))  # type: ignore[assignment]
    return mean
