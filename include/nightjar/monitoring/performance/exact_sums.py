"""Sums of numbers of any size that are equal to the bit in any order of rows.

A number is rounded to a multiple of 2^-96: the rounding of a row is at most 6e-30, so that the fourth power of an error
of a millionth still has five digits. Multiples add up as whole numbers: numpy adds 40 bits of each at a time, Python
puts these sums together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 1 << 96
"""Value of 1 in the sums."""
_LIMB_BITS = 40  # leaves 23 of 64 bits for the number of rows


def sums_of_groups(values: NDArray[np.float64], starts: NDArray[np.int64]) -> list[list[int]]:
    """Return the sums of consecutive groups of rows, in units of 1 / :data:`SCALE` (groups x columns).

    Args:
        values: At most eight million rows, finite (rows x columns).
        starts: First row of each group, ascending, the first 0; no group is empty.
    """
    rest = np.rint(values * float(SCALE))
    totals = [[0] * values.shape[1] for _ in starts]
    for limb in range(64):
        if not rest.any():
            break
        low = np.fmod(rest, 2.0**_LIMB_BITS)
        rest = (rest - low) / 2.0**_LIMB_BITS
        sums = np.add.reduceat(low.astype(np.int64), starts, axis=0).tolist()
        totals = [
            [total + (added << limb * _LIMB_BITS) for total, added in zip(line, parts, strict=True)]
            for line, parts in zip(totals, sums, strict=True)
        ]
    return totals
