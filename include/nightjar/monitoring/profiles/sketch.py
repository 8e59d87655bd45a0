"""A mergeable, deterministic quantile sketch of a numeric column. Standard library and numpy only.

It is a DDSketch (Masson, Rim and Lee 2019, PVLDB 12:2195) with their linearly interpolated mapping, taken about the
reference's median instead of zero, so that a pressure of 1013 hPa is told from one of 1014 as well as a delay of 1 from
one of 2 minutes. Sketches of the same grid add up exactly, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nightjar.lake.numbers import is_known

RELATIVE_ACCURACY = 1 / 128
"""A value is known to this share of its distance from the centre, the spread added."""

_STEPS = 64
"""Buckets between two powers of two."""

MAX_KEY = 40 * _STEPS
"""Values farther than 2^40 spreads from the centre are counted as that far."""


@dataclass(frozen=True)
class Grid:
    """Where buckets lie: dense about the centre, ever wider away from it. Fixed by the reference.

    Bucket k holds the distances d from the centre with ``size(|k|) <= 1 + |d| / spread < size(|k| + 1)``, where size
    doubles every 64 buckets and is linear between: the leading bits of a floating-point number.

    Attributes:
        centre: About the reference's median, in the column's unit.
        spread: About its standard deviation, above 0, in the same unit.
    """

    centre: float
    spread: float

    def values(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """The middle of each bucket, in the column's unit."""
        sizes = (_size(np.abs(keys)) + _size(np.abs(keys) + 1)) / 2 - 1
        # Bucket 0 lies on both sides of the centre, which is its middle.
        middles: NDArray[np.float64] = self.centre + self.spread * np.where(keys == 0, 0.0, np.sign(keys) * sizes)
        return middles

    def counted(self, ordered: NDArray[np.float64]) -> Sketch:
        """The sketch of finite values in ascending order."""
        if ordered.size == 0:
            return Sketch(self)
        borders = _borders(self)
        first, last = np.searchsorted(borders, ordered[[0, -1]], side="right")
        below = np.searchsorted(ordered, borders[first:last], side="left")
        counts = np.diff(below, prepend=0, append=ordered.size)
        (held,) = np.nonzero(counts)
        return Sketch(self, tuple((held + (first - MAX_KEY)).tolist()), tuple(counts[held].tolist()))


def _size(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lower border of buckets from 0 on, as a multiple of the spread, plus 1."""
    return np.ldexp(1 + (keys % _STEPS) / _STEPS, keys // _STEPS)


@lru_cache(maxsize=1024)
def _borders(grid: Grid) -> NDArray[np.float64]:
    """Between each bucket and the next, ascending: ``borders[i] <= value`` puts it above key ``i - MAX_KEY``."""
    positive = grid.spread * (_size(np.arange(1, MAX_KEY + 1)) - 1)
    return np.concatenate([grid.centre - positive[::-1], grid.centre + positive])


@dataclass(frozen=True)
class Sketch:
    """How many values lie in each bucket of a grid that holds any.

    Attributes:
        grid: Where buckets lie.
        keys: Buckets that hold values, ascending; so are the values in them.
        counts: Values in each.
    """

    grid: Grid
    keys: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def middles(self) -> NDArray[np.float64]:
        """A value for each bucket."""
        return self.grid.values(np.array(self.keys, dtype=np.int64))

    def quantile(self, share: float) -> float | None:
        """The value that ``share`` of the values lie at or below, to :data:`RELATIVE_ACCURACY`; None for no value."""
        if not self.keys:
            return None
        cumulated = np.cumsum(self.counts)
        rank = max(1, int(np.ceil(share * cumulated[-1])))
        return float(self.middles[np.searchsorted(cumulated, rank)])


def merge_sketches(a: Sketch, b: Sketch) -> Sketch:
    """The sketch of the values of both, exactly as if they had been counted together.

    Raises:
        ValueError: when they are of different grids.
    """
    if a.grid != b.grid:
        raise ValueError("sketches of other grids do not merge; count both in the same reference's grid")
    keys, places = np.unique(np.array([*a.keys, *b.keys], dtype=np.int64), return_inverse=True)
    counts = np.zeros(keys.size, dtype=np.int64)
    np.add.at(counts, places, np.array([*a.counts, *b.counts], dtype=np.int64))
    return Sketch(a.grid, tuple(keys.tolist()), tuple(counts.tolist()))


def grid_of(values: ArrayLike) -> Grid:
    """A grid for a reference's values, or equally spaced quantiles of them.

    The spread leaves out the outer hundredths, so that one outlier does not blur all the rest; where that leaves
    nothing, it does not. A constant is measured by its own size.
    """
    array = np.sort(np.asarray(values, dtype=np.float64))
    array = array[is_known(array)]
    if array.size == 0:
        return Grid(0.0, 1.0)
    cut = array.size // 100
    centre = float(array[(array.size - 1) // 2])
    with np.errstate(over="ignore"):
        candidates = (array[cut : array.size - cut].std(), array.std(), abs(centre), 1.0)
    return Grid(centre, next(float(c) for c in candidates if 1e-290 < c < 1e290))


def wasserstein(reference: Sketch, night: Sketch) -> float | None:
    """Wasserstein-1 (earth mover's) distance of both, in the column's own unit; None when one of them is empty.

    The mean distance that values have to move to make one distribution of the other: the area between the two
    distribution functions (Ramdas, García Trillos and Cuturi 2017, Entropy 19:47, eq. 7).
    """
    if not reference.keys or not night.keys:
        return None
    keys = np.union1d(reference.keys, night.keys).astype(np.int64)
    shares = []
    for sketch in (reference, night):
        counts = np.zeros(keys.size)
        counts[np.searchsorted(keys, sketch.keys)] = sketch.counts
        shares.append(np.cumsum(counts) / counts.sum())
    gaps = np.diff(reference.grid.values(keys))
    return float(np.abs(shares[0] - shares[1])[:-1] @ gaps)
