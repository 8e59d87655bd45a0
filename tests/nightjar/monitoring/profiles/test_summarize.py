from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nightjar.monitoring.profiles.profile import ProfiledColumn
from nightjar.monitoring.profiles.summarize import (
    MAX_CATEGORIES,
    count_categories,
    count_numeric,
    numeric_edges,
    profile_arrays,
    top_categories,
)

finite = st.floats(-1e9, 1e9)


def inner(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Counts without the outer bins, which must be empty in the data that fixed the bins."""
    assert counts[0] == 0
    assert counts[-1] == 0
    return counts[1:-1]


def test_continuous_values_get_deciles() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    counts = inner(count_numeric(values, numeric_edges(values)).counts)
    assert len(counts) == 10
    assert all(abs(count - 1000) <= 1 for count in counts)


def test_a_constant_is_below_equal_above() -> None:
    edges = numeric_edges([3.0] * 50)
    assert count_numeric([3.0] * 50, edges).counts == (0, 50, 0)
    assert count_numeric([2.9, 3.0, 3.1], edges).counts == (1, 1, 1)


def test_few_values_get_a_bin_each() -> None:
    values = [0.0] * 7 + [1.0] * 2 + [4.0]
    assert inner(count_numeric(values, numeric_edges(values)).counts) == (7, 2, 1)


def test_a_heavy_value_gets_a_bin_of_its_own() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([np.zeros(8000), random.exponential(1.0, 2000)])
    assert inner(count_numeric(values, numeric_edges(values)).counts) == (8000, 999, 1001)
    assert count_numeric([1e-9, 0.0, -1e-9], numeric_edges(values)).counts[:3] == (1, 1, 1)


def test_no_value_no_edges() -> None:
    assert numeric_edges([math.nan, math.inf, 1e39]) == ()
    assert count_numeric([math.nan, 1.0], ()).counts == (1,)


def test_missing_is_null_nan_and_infinite() -> None:
    profile = count_numeric([1.0, math.nan, math.inf, -math.inf, 1e39, -1e300], (0.0,))
    assert (profile.rows, profile.nulls, profile.counts) == (6, 5, (0, 1))
    assert (profile.mean, profile.variance, profile.minimum, profile.maximum) == (1.0, 0.0, 1.0, 1.0)


@given(st.lists(finite, min_size=1, max_size=200))
def test_edges_ascend_and_hold_all_values(values: list[float]) -> None:
    edges = numeric_edges(values)
    assert list(edges) == sorted(set(edges))
    assert sum(inner(count_numeric(values, edges).counts)) == len(values)


@given(st.lists(finite, max_size=60), st.lists(finite, unique=True, max_size=12))
def test_bins_are_numpys_histogram(values: list[float], cuts: list[float]) -> None:
    edges = sorted(cuts)
    expected = [sum(low <= value < high for value in values) for low, high in pairwise([-math.inf, *edges, math.inf])]
    assert list(count_numeric(values, edges).counts) == expected


def test_top_categories_are_the_most_frequent_ties_by_name() -> None:
    assert top_categories({"b": 2, "a": 2, None: 9, "c": 5}, limit=2) == ("c", "a")
    assert len(top_categories({f"k{i}": 1 for i in range(99)})) == MAX_CATEGORIES


def test_unlisted_categories_are_counted_together() -> None:
    profile = count_categories({"a": 3, "z": 2, "y": 1, None: 4}, ("a", "b"))
    assert (profile.counts, profile.nulls, profile.rows) == ((3, 0, 3), 4, 10)
    assert profile.unlisted == ("y", "z")


def test_profile_arrays_counts_in_the_references_bins() -> None:
    columns = [ProfiledColumn("x", "numeric"), ProfiledColumn("c", "categorical")]
    reference = profile_arrays({"x": [1.0, 2.0, 3.0], "c": ["a", "a", None]}, columns)
    night = profile_arrays({"x": [2.0, 9.0], "c": ["a", "new"]}, columns, reference)
    assert reference.columns["x"].counts == (0, 1, 1, 1, 0)
    assert night.columns["x"].counts == (0, 0, 1, 0, 1)
    assert night.columns["c"].counts == (1, 1)
    assert (reference.rows, night.rows) == (3, 2)
