from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.monitoring.profiles.profile import ColumnProfile, NightVariation, Profile, merge, merge_all
from nightjar.monitoring.profiles.sketch import Grid
from nightjar.monitoring.profiles.summarize import count_categories, count_numeric

EDGES = (-10.0, 0.0, 0.5, 10.0)
GRID = Grid(0.0, 3.0)
CATEGORIES = ("a", "b")
numbers = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=40)
names = st.dictionaries(st.none() | st.sampled_from("abcdefghijklmnop"), st.integers(0, 50), max_size=14)


def profile(values: list[float], counts: dict[str | None, int]) -> Profile:
    columns = {"x": count_numeric(values, EDGES, GRID), "c": count_categories(counts, CATEGORIES)}
    return Profile(rows=len(values), columns=columns)


profiles = st.builds(profile, numbers, names)


def same(a: Profile, b: Profile) -> None:
    """Counts exactly, moments to floating point."""
    assert a.rows == b.rows
    for name, column in a.columns.items():
        other = b.columns[name]
        for field in ("rows", "nulls", "counts", "edges", "categories", "unlisted", "minimum", "maximum", "sketch"):
            assert getattr(column, field) == getattr(other, field)
        for field in ("mean", "variance"):
            one, two = getattr(column, field), getattr(other, field)
            assert one is two is None or one == pytest.approx(two, rel=1e-6, abs=1e-3)


@given(profiles, profiles)
def test_merging_is_commutative(a: Profile, b: Profile) -> None:
    same(merge(a, b), merge(b, a))


@given(profiles, profiles, profiles)
def test_merging_is_associative(a: Profile, b: Profile, c: Profile) -> None:
    same(merge(merge(a, b), c), merge(a, merge(b, c)))


@given(st.lists(st.lists(st.floats(-1e3, 1e3), max_size=30), min_size=1, max_size=5))
def test_merged_parts_are_the_whole(parts: list[list[float]]) -> None:
    merged = merge_all([Profile(rows=len(part), columns={"x": count_numeric(part, EDGES, GRID)}) for part in parts])
    together = [value for part in parts for value in part]
    same(merged, Profile(rows=len(together), columns={"x": count_numeric(together, EDGES, GRID)}))


@given(profiles)
def test_counts_add_up_to_rows(made: Profile) -> None:
    for column in made.columns.values():
        assert sum(column.counts) + column.nulls == column.rows


@given(profiles)
def test_json_round_trip_is_exact(made: Profile) -> None:
    varied = Profile(
        rows=made.rows,
        columns=made.columns,
        variation={"x": NightVariation(psi=0.1, design_effect=2.5, missing_psi=0.2)},
    )
    assert Profile.from_json(varied.to_json()) == varied


def test_merging_keeps_the_first_unlisted_names() -> None:
    parts = [
        Profile(rows=1, columns={"c": count_categories({name: 1}, ())})
        for name in reversed("abcdefghijklmnopqrstuvwxyz")
    ]
    assert reduce(merge, parts).columns["c"].unlisted == tuple("abcdefghij")


def test_other_bins_do_not_merge() -> None:
    one = Profile(rows=1, columns={"x": count_numeric([1.0], (0.0,))})
    other = Profile(rows=1, columns={"x": count_numeric([1.0], (0.5,))})
    with pytest.raises(ValueError, match="different bins"):
        merge(one, other)


def test_other_grids_do_not_merge() -> None:
    one, other = (Profile(rows=1, columns={"x": count_numeric([1.0], (0.0,), Grid(0.0, s))}) for s in (1.0, 2.0))
    with pytest.raises(ValueError, match="different grids"):
        merge(one, other)


def test_a_profile_of_format_1_has_no_sketch() -> None:
    """Models that were trained before are still compared with."""
    column = '{"kind": "numeric", "rows": 2, "nulls": 0, "counts": [1, 1], "edges": [2.0], "mean": 2.0}'
    old = Profile.from_json(f'{{"format": 1, "rows": 2, "columns": {{"x": {column}}}, "variation": {{}}}}')
    new = Profile(rows=1, columns={"x": count_numeric([1.0], (2.0,), GRID)})
    assert (old.columns["x"].counts, old.columns["x"].sketch) == ((1, 1), None)
    assert merge(old, new).columns["x"].sketch is None


def test_other_columns_do_not_merge() -> None:
    one = Profile(rows=1, columns={"x": count_numeric([1.0], (0.0,))})
    with pytest.raises(ValueError, match="'x'"):
        merge(one, Profile(rows=1))


def test_a_profile_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="are not 5 rows"):
        ColumnProfile(kind="numeric", rows=5, nulls=1, counts=(3,))
    with pytest.raises(ValueError, match="do not fit"):
        ColumnProfile(kind="numeric", rows=3, nulls=0, counts=(3,), edges=(1.0,))


def test_text_that_is_no_profile_is_refused() -> None:
    for text, message in (("[]", "a JSON object is expected"), ('{"format": 3}', "format 1 or 2")):
        with pytest.raises(ValueError, match=message):
            Profile.from_json(text)


def test_moments_are_numpys() -> None:
    values = np.random.default_rng(1).normal(1e6, 1.0, 5000)
    halves = [Profile(rows=2500, columns={"x": count_numeric(half, EDGES)}) for half in np.split(values, 2)]
    merged = merge_all(halves).columns["x"]
    assert merged.mean == pytest.approx(values.mean(), rel=1e-12)
    assert merged.variance == pytest.approx(values.var(), rel=1e-9)
