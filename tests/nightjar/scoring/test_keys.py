"""Duplicate keys are counted exactly, also when hashes collide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.scoring import keys


def batches(rows: list[tuple[str, int]], size: int) -> Iterator[pa.RecordBatch]:
    names, numbers = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({"name": pa.array(names, pa.string()), "number": pa.array(numbers, pa.int64())})
    yield from table.to_batches(max_chunksize=size)


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1, max_size=60)


@settings(deadline=None)
@given(rows=ROWS, size=st.integers(1, 20))
def test_rows_less_distinct_keys(rows: list[tuple[str, int]], size: int) -> None:
    assert keys.count_duplicate_keys(lambda: batches(rows, size)) == len(rows) - len(set(rows))


def test_keys_that_only_share_a_hash_are_not_taken_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_hash_rows", lambda batch: np.zeros(batch.num_rows, np.uint64))
    rows = [("a", 1), ("b", 1), ("a", 2), ("a", 1)]
    assert keys.count_duplicate_keys(lambda: batches(rows, 2)) == 1
