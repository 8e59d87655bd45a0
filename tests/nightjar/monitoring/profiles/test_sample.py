from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from nightjar.monitoring.drift.domain import to_matrix
from nightjar.monitoring.profiles.profile import ProfiledColumn
from nightjar.monitoring.profiles.sample import Sample, draw, least, least_hashes, row_hashes
from nightjar.monitoring.profiles.summarize import profile_arrays


@pytest.mark.parametrize(
    "column",
    [
        pa.array(range(100_000)),
        pa.array([f"order {i}" for i in range(20_000)]),
        pa.array([datetime.fromtimestamp(i, UTC) for i in range(20_000)]),
        pa.array([date.fromordinal(i + 1) for i in range(20_000)]),
    ],
    ids=["int", "string", "timestamp", "date"],
)
def test_hashes_are_spread_evenly_and_do_not_collide(column: pa.Array) -> None:
    hashes = row_hashes([column])
    assert len(set(hashes.tolist())) == len(column)
    counts = np.histogram(hashes.astype(float), bins=10, range=(0, 2.0**64))[0]
    assert abs(counts / len(column) - 0.1).max() < 0.01


def test_every_column_of_the_key_counts() -> None:
    one, other, none = pa.array([1, 2, 3]), pa.array(["a", "a", "b"]), pa.array([None, None, "b"])
    assert len({*row_hashes([one, other]).tolist(), *row_hashes([one, none]).tolist()}) == 5
    assert row_hashes([one, other]).tolist()[::-1] == row_hashes([one[::-1], other[::-1]]).tolist()


def test_a_sample_is_as_large_as_asked_and_the_same_however_batches_are_cut() -> None:
    keys, values = pa.array(range(50_000)), pa.array(np.arange(50_000.0))
    limit = least_hashes(300, 50_000)

    def sampled(cuts: list[int]) -> Sample:
        parts = zip([0, *cuts], [*cuts, 50_000], strict=True)
        return least([draw([keys[a:b]], {"x": values[a:b]}, limit) for a, b in parts], 300)

    found = sampled([])
    assert found.rows == 300
    assert sampled([1, 20_000, 49_999]) == found
    assert np.mean(found.columns["x"]) == pytest.approx(25_000, rel=0.1)
    assert least_hashes(300, 200) == least_hashes(5, 0) == 2**64 - 1  # all of them


def test_values_are_short_and_missing_is_none() -> None:
    drawn = draw([pa.array([1, 2, 3])], {"x": pa.array([1 / 3, float("inf"), None])}, 2**64 - 1)
    assert drawn.sample.columns["x"] == [0.333333, None, None]


def test_a_category_is_its_place_in_the_references_list() -> None:
    columns = [ProfiledColumn("c", "categorical"), ProfiledColumn("x", "numeric")]
    bins = profile_arrays({"c": ["b", "b", "a"], "x": [1.0, 2.0, 3.0]}, columns)
    matrix = to_matrix(Sample({"c": ["a", "b", "new", None], "x": [1.5, None, 0.0, 2.0]}), ["c", "x"], bins)
    assert np.array_equal(matrix, np.array([[1, 1.5], [0, np.nan], [2, 0], [np.nan, 2]], np.float32), equal_nan=True)


def test_a_number_that_float32_does_not_hold_is_missing_wherever_it_comes_from() -> None:
    numbers = [1.5, float("inf"), -1e39, float("nan"), 3e38, None]
    drawn = draw([pa.array(range(6))], {"x": pa.array(numbers)}, 2**64 - 1).sample
    assert drawn.columns["x"] == [1.5, None, None, None, 3e38, None]
    bins = profile_arrays({"x": [1.0, 2.0]}, [ProfiledColumn("x", "numeric")])
    for sample in (drawn, Sample({"x": numbers})):  # the second as a model of an earlier release has stored it
        matrix = to_matrix(sample, ["x"], bins)[:, 0]
        np.testing.assert_array_equal(matrix, np.array([1.5, *[np.nan] * 3, 3e38, np.nan], dtype=np.float32))
