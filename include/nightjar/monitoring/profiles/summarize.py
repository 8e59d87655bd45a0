"""From values to profiles: fixing the bins once, and counting in them. Standard library and numpy only.

Training programs call :func:`profile_arrays` (the model's predictions on the holdout), Spark programs call the parts
of it on each Arrow batch (``nightjar_spark.profiling``); both count with the same few lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nightjar.lake.numbers import LARGEST, is_known
from nightjar.monitoring.profiles.profile import MAX_UNLISTED, ColumnProfile, Profile, ProfiledColumn
from nightjar.monitoring.profiles.sketch import Grid, grid_of

NUMERIC_BINS = 10
"""Quantile bins of a numeric column: deciles, on which the usual PSI thresholds of 0.1 and 0.25 were set."""

MAX_CATEGORIES = 50
"""Categories listed one by one; the rest is counted together."""


def numeric_edges(values: ArrayLike, bins: int = NUMERIC_BINS) -> tuple[float, ...]:
    """Cut points for a numeric column.

    A column of at most ``bins`` distinct values gets a bin per value (a constant: below, equal, above). Any other
    gets ``bins`` bins: one for each value that alone holds a bin's share of the rows, quantiles of the rest. The outer
    bins lie beyond the least and the greatest value, empty in the reference: values never seen before show.

    Args:
        values: All values, or equally spaced quantiles of them including both ends; what float32 does not hold is
            left out.
        bins: Number of quantile bins.

    Returns:
        Ascending cut points, empty when there is no value.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[is_known(array)]
    if array.size == 0:
        return ()
    distinct, counts = np.unique(array, return_counts=True)
    if distinct.size <= bins:
        return (*distinct.tolist(), _just_above(distinct[-1]))
    heavy = distinct[counts * bins >= array.size]
    rest = array[~np.isin(array, heavy)]
    shares = np.linspace(0, 1, max(1, round(bins * rest.size / array.size)) + 1)[1:-1]
    inner = np.quantile(rest, shares, method="inverted_cdf").tolist()
    atoms = [cut for value in heavy.tolist() for cut in (value, _just_above(value))]
    return tuple(sorted({float(distinct[0]), *inner, *atoms, _just_above(distinct[-1])}))


def _just_above(value: float) -> float:
    """The next double: as a cut point it gives ``value`` a bin of its own."""
    return float(np.nextafter(value, np.inf))


def count_numeric(values: ArrayLike, edges: Sequence[float], grid: Grid | None = None) -> ColumnProfile:
    """Profile of numeric values in the bins of ``edges``; those that float32 does not hold count as missing.

    The values are sorted once: bins and buckets are then found by bisection, several times as fast as each value's.

    Args:
        values: The values.
        edges: Cut points, ascending.
        grid: Of the sketch; without one there is none.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    known = slice(np.searchsorted(ordered, -LARGEST, side="left"), np.searchsorted(ordered, LARGEST, side="right"))
    kept: NDArray[np.float64] = ordered[known]
    below = np.searchsorted(kept, np.asarray(edges, dtype=np.float64), side="left")
    some = kept.size > 0
    return ColumnProfile(
        kind="numeric",
        rows=int(ordered.size),
        nulls=int(ordered.size - kept.size),
        counts=tuple(np.diff(below, prepend=0, append=kept.size).tolist()),
        edges=tuple(edges),
        mean=float(kept.mean()) if some else None,
        variance=float(kept.var()) if some else None,
        minimum=float(kept[0]) if some else None,
        maximum=float(kept[-1]) if some else None,
        sketch=grid.counted(kept) if grid else None,
    )


def count_labels(rows: int, positives: int) -> ColumnProfile:
    """Profile of so many labels, ``positives`` of them 1 and the others 0, in bins that fit any labels."""
    edges, share = (0.0, _just_above(0.0), 1.0, _just_above(1.0)), positives / rows if rows else None
    sketch = Grid(0.0, 1.0).counted(np.repeat([0.0, 1.0], [rows - positives, positives]))
    return ColumnProfile(
        kind="numeric",
        rows=rows,
        nulls=0,
        counts=(0, rows - positives, 0, positives, 0),
        edges=edges,
        mean=share,
        variance=None if share is None else share * (1 - share),
        minimum=None if share is None else float(positives == rows),
        maximum=None if share is None else float(positives > 0),
        sketch=sketch,
    )


def grid_in(column: ColumnProfile) -> Grid | None:
    """The grid to sketch a column in so that it compares with this profile of it."""
    return column.sketch.grid if column.sketch else None


def top_categories(counts: Mapping[str | None, int], limit: int = MAX_CATEGORIES) -> tuple[str, ...]:
    """The ``limit`` most frequent categories, ties by name; null is none."""
    named = [(-count, name) for name, count in counts.items() if name is not None]
    return tuple(name for _, name in sorted(named)[:limit])


def count_categories(counts: Mapping[str | None, int], categories: Sequence[str]) -> ColumnProfile:
    """Profile of a categorical column from its value counts (key None: missing), in the bins of ``categories``."""
    listed = set(categories)
    nulls = counts.get(None, 0)
    unlisted = {name: count for name, count in counts.items() if name is not None and name not in listed}
    return ColumnProfile(
        kind="categorical",
        rows=sum(counts.values()),
        nulls=nulls,
        counts=(*(counts.get(name, 0) for name in categories), sum(unlisted.values())),
        categories=tuple(categories),
        unlisted=tuple(sorted(unlisted)[:MAX_UNLISTED]),
    )


def profile_arrays(
    data: Mapping[str, ArrayLike], columns: Sequence[ProfiledColumn], reference: Profile | None = None
) -> Profile:
    """Profile of in-memory columns of equal length.

    Args:
        data: Column name to values; None or NaN is missing.
        columns: What to profile.
        reference: Profile whose bins to count in; without one the bins are fixed from the data.
    """
    profiles = {}
    for column in columns:
        known = reference.columns[column.name] if reference else None
        if column.kind == "numeric":
            values = np.asarray(data[column.name], dtype=np.float64)
            profiles[column.name] = (
                count_numeric(values, known.edges, grid_in(known))
                if known
                else count_numeric(values, numeric_edges(values), grid_of(values))
            )
        else:
            raw = np.asarray(data[column.name], dtype=object).tolist()
            counts = Counter(None if value is None or value != value else str(value) for value in raw)
            profiles[column.name] = count_categories(counts, known.categories if known else top_categories(counts))
    return Profile(rows=max((p.rows for p in profiles.values()), default=0), columns=profiles)
