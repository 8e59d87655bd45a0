"""Mergeable, deterministic quantile sketch of a numeric column. Standard library and numpy only.

This is a DDSketch (Masson, Rim and Lee 2019, PVLDB 12:2195) with their linearly interpolated mapping, centred on the
reference's median instead of zero: pressures of 1013 and 1014 hPa differ as clearly as delays of 1 and 2 minutes.
Sketches of the same grid add up exactly, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nightjar.lake.numbers import is_known

RELATIVE_ACCURACY = 1 / 128
"""Error of a value, relative to its distance from the centre plus the spread."""

_STEPS = 64
"""Number of buckets between two powers of two."""

MAX_KEY = 40 * _STEPS
"""Outermost bucket: values farther than 2^40 spreads from the centre are counted there."""


@dataclass(frozen=True)
class Grid:
    """Bucket borders: dense around the centre, wider away from it. Fixed by the reference.

    Bucket k holds the distances d from the centre with ``size(|k|) <= 1 + |d| / spread < size(|k| + 1)``, where size
    doubles every 64 buckets and is linear between: the leading bits of a floating-point number.

    Attributes:
        centre: Approximate median of the reference, in the column's unit.
        spread: Approximate standard deviation, above 0, in the same unit.
    """

    centre: float
    spread: float

    def values(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the middle of each bucket, in the column's unit."""
        sizes = (_size(np.abs(keys)) + _size(np.abs(keys) + 1)) / 2 - 1
        # Bucket 0 lies on both sides of the centre, which is its middle.
        middles: NDArray[np.float64] = self.centre + self.spread * np.where(keys == 0, 0.0, np.sign(keys) * sizes)
        return middles

    def counted(self, ordered: NDArray[np.float64]) -> Sketch:
        """Return the sketch of finite values in ascending order."""
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
    """Return the borders between buckets, ascending: ``borders[i] <= value`` means above key ``i - MAX_KEY``."""
    positive = grid.spread * (_size(np.arange(1, MAX_KEY + 1)) - 1)
    return np.concatenate([grid.centre - positive[::-1], grid.centre + positive])


@dataclass(frozen=True)
class Sketch:
    """Number of values in each non-empty bucket of a grid.

    Attributes:
        grid: Bucket borders.
        keys: Non-empty buckets, in ascending order of their values.
        counts: Number of values in each.
    """

    grid: Grid
    keys: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def middles(self) -> NDArray[np.float64]:
        """Middle of each non-empty bucket."""
        return self.grid.values(np.array(self.keys, dtype=np.int64))

    def quantile(self, share: float) -> float | None:
        """Return the quantile ``share`` of the values, to :data:`RELATIVE_ACCURACY`; None without values."""
        if not self.keys:
            return None
        cumulated = np.cumsum(self.counts)
        rank = max(1, int(np.ceil(share * cumulated[-1])))
        return float(self.middles[np.searchsorted(cumulated, rank)])


def merge_sketches(a: Sketch, b: Sketch) -> Sketch:
    """Return the sketch of the values of both; exact.

    Raises:
        ValueError: when their grids differ.
    """
    if a.grid != b.grid:
        raise ValueError("sketches with different grids cannot be merged; count both in the grid of one reference")
    keys, places = np.unique(np.array([*a.keys, *b.keys], dtype=np.int64), return_inverse=True)
    counts = np.zeros(keys.size, dtype=np.int64)
    np.add.at(counts, places, np.array([*a.counts, *b.counts], dtype=np.int64))
    return Sketch(a.grid, tuple(keys.tolist()), tuple(counts.tolist()))


def grid_of(values: ArrayLike) -> Grid:
    """Choose the grid for a reference's values, or equally spaced quantiles of them.

    The spread is the standard deviation without the outer 1 % on each side, so that one outlier does not blur the rest;
    when that is 0, the standard deviation of all values, and for a constant its absolute value.
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
    """Return the Wasserstein-1 (earth mover's) distance, in the column's unit; None when a sketch is empty.

    This is the mean distance that values have to move to turn one distribution into the other: the area between the two
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
