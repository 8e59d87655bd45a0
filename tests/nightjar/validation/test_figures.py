from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.validation.figures import HASH, SAMPLE_ROWS, Figures, figures_of, part_of

NUMBER = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))
TEXT = st.one_of(st.none(), st.sampled_from(["UA", "AA", "B6", "9E"]))


def table(numbers: list[float | None], texts: list[str | None]) -> pa.Table:
    hashes = np.random.default_rng(len(numbers)).permutation(len(numbers)).astype("int64")
    return pa.table({HASH: hashes, "delay": pa.array(numbers, pa.float64()), "carrier": pa.array(texts, pa.string())})


def close(a: Figures, b: Figures) -> bool:
    exact = ("rows", "nulls", "distinct", "minimum", "maximum", "quantiles", "categories")
    same = all(getattr(a, name) == getattr(b, name) for name in exact)
    moments = [(a.mean, b.mean), (a.std, b.std)]
    return same and all(
        x is y is None or (x is not None and y is not None and np.isclose(x, y, rtol=1e-6, atol=1e-6))
        for x, y in moments
    )


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(NUMBER, TEXT), min_size=1, max_size=60), cuts=st.sets(st.integers(1, 59)))
def test_parts_in_any_cut_and_order_give_the_figures_of_the_whole(
    rows: list[tuple[float | None, str | None]], cuts: set[int]
) -> None:
    whole = table([number for number, _ in rows], [text for _, text in rows])
    bounds = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    parts = [part_of(whole.slice(low, high - low)) for low, high in pairwise(bounds)]
    merged = parts[-1]
    for part in reversed(parts[:-1]):
        merged = part.merge(merged)
    expected, found = figures_of(part_of(whole)), figures_of(merged)
    assert all(close(found[name], expected[name]) for name in expected)


def test_figures_are_those_of_numpy() -> None:
    values = np.random.default_rng(1).normal(5, 2, 1000)
    found = figures_of(part_of(table([None, *values.tolist()], ["UA"] * 400 + ["AA"] * 600 + [None])))
    delay, carrier = found["delay"], found["carrier"]
    assert (delay.rows, delay.nulls, delay.null_share) == (1001, 1, pytest.approx(1 / 1001))
    assert delay.mean == pytest.approx(values.mean())
    assert delay.std == pytest.approx(values.std())
    assert delay.value("p95") == pytest.approx(np.quantile(values, 0.95))
    assert carrier.categories == {"AA": 0.6, "UA": 0.4}
    assert carrier.distinct == 2
    assert carrier.value("mean") is None


def test_a_large_night_is_judged_by_a_sample_that_does_not_depend_on_where_the_rows_lay() -> None:
    rows = 4 * SAMPLE_ROWS
    values = np.random.default_rng(2).gamma(2, 30, rows)
    whole = table(values.tolist(), ["UA"] * rows)
    shuffled = whole.take(np.random.default_rng(3).permutation(rows))
    single = figures_of(part_of(whole))["delay"]
    halves = part_of(shuffled.slice(0, rows // 3)).merge(part_of(shuffled.slice(rows // 3)))
    merged = figures_of(halves)["delay"]
    assert single.quantiles == merged.quantiles
    assert single.mean == pytest.approx(values.mean())  # moments are of all rows
    ranks = {name: float((values < value).mean()) for name, value in single.quantiles.items()}
    assert ranks == pytest.approx({"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}, abs=0.02)


def test_a_column_without_a_value_has_no_moments() -> None:
    found = figures_of(part_of(table([None, None], [None, None])))
    assert found["delay"] == Figures(rows=2, nulls=2)
    assert found["carrier"] == Figures(rows=2, nulls=2)
