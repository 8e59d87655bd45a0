"""Build profiles from values: choose the bins, then count in them. Standard library and numpy only.

Training programs call :func:`profile_arrays` (for predictions on the holdout); Spark programs call its parts on each
Arrow batch (``nightjar_spark.profiling``).
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
"""Quantile bins of a numeric column: deciles, for which the usual PSI thresholds of 0.1 and 0.25 were set."""

MAX_CATEGORIES = 50
"""Maximum number of listed categories; the rest is counted as others."""


def numeric_edges(values: ArrayLike, bins: int = NUMERIC_BINS) -> tuple[float, ...]:
    """Choose the cut points of a numeric column.

    A column of at most ``bins`` distinct values gets a bin per value (a constant: below, equal, above). Any other
    gets ``bins`` bins: one for each value that alone holds a bin's share of the rows, quantiles of the rest. The outer
    bins lie beyond the smallest and the largest value and are empty in the reference, so that new values show.

    Args:
        values: All values, or equally spaced quantiles including both ends; values beyond float32 are left out.
        bins: Number of quantile bins.

    Returns:
        Ascending cut points; empty without values.
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
    """Return the next double: as a cut point it gives ``value`` a bin of its own."""
    return float(np.nextafter(value, np.inf))


def count_numeric(values: ArrayLike, edges: Sequence[float], grid: Grid | None = None) -> ColumnProfile:
    """Profile numeric values in the bins of ``edges``; values beyond float32 count as missing.

    The values are sorted once, and bins and buckets found by bisection: several times as fast as one by one.

    Args:
        values: The values.
        edges: Cut points, ascending.
        grid: Grid of the sketch; None for no sketch.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    known = slice(np.searchsorted(ordered, -LARGEST, side="left"), np.searchsorted(ordered, LARGEST, side="right"))
    kept: NDArray[np.float64] = ordered[known]
    below = np.searchsorted(kept, np.asarray(edges, dtype=np.float64), side="left")
    has_values = kept.size > 0
    return ColumnProfile(
        kind="numeric",
        rows=int(ordered.size),
        nulls=int(ordered.size - kept.size),
        counts=tuple(np.diff(below, prepend=0, append=kept.size).tolist()),
        edges=tuple(edges),
        mean=float(kept.mean()) if has_values else None,
        variance=float(kept.var()) if has_values else None,
        minimum=float(kept[0]) if has_values else None,
        maximum=float(kept[-1]) if has_values else None,
        sketch=grid.counted(kept) if grid else None,
    )


def count_labels(rows: int, positives: int) -> ColumnProfile:
    """Profile ``rows`` labels, ``positives`` of them 1 and the others 0, in the bins of any binary labels."""
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
    """Return the grid of a column's sketch; None without a sketch."""
    return column.sketch.grid if column.sketch else None


def top_categories(counts: Mapping[str | None, int], limit: int = MAX_CATEGORIES) -> tuple[str, ...]:
    """Return the ``limit`` most frequent categories, ties by name; null is not a category."""
    named = [(-count, name) for name, count in counts.items() if name is not None]
    return tuple(name for _, name in sorted(named)[:limit])


def count_categories(counts: Mapping[str | None, int], categories: Sequence[str]) -> ColumnProfile:
    """Profile a categorical column from its value counts (key None: missing), in the bins of ``categories``."""
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
    """Profile in-memory columns of equal length.

    Args:
        data: Column name to values; None or NaN is missing.
        columns: Columns to profile.
        reference: Profile whose bins are used; None to choose the bins from the data.
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
