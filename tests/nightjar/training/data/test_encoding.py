"""The matrix that the model reads, from literal tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nightjar.declaration.features import Feature
from nightjar.lake.numbers import is_known, to_float32
from nightjar.protocol.errors import ModelError
from nightjar.training.data.encoding import encode

FEATURES = (Feature("carrier", "categorical", "."), Feature("seats", "numeric", "."), Feature("is_new", "numeric", "."))
CATEGORIES = {"carrier": ("AA", "B6", "UA")}
NAN = float("nan")


def _table() -> pa.Table:
    return pa.table(
        {
            "is_new": pa.array([True, False, None, True]),
            "carrier": pa.array(["UA", "AA", None, "XX"]),
            "seats": pa.array([150, 7, None, 2], pa.int32()),
            "other": pa.array([1, 2, 3, 4]),
        }
    )


EXPECTED = [[2, 150, 1], [0, 7, 0], [NAN, NAN, NAN], [NAN, 2, 1]]


def test_columns_are_ordered_categories_coded_and_unknown_is_missing() -> None:
    matrix = encode(_table(), FEATURES, CATEGORIES)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array(EXPECTED, dtype=np.float32))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_other_forms_of_text_give_the_same_matrix(kind: pa.DataType) -> None:
    table = _table()
    table = table.set_column(1, "carrier", table["carrier"].combine_chunks().cast(kind))
    np.testing.assert_array_equal(encode(table, FEATURES, CATEGORIES), np.array(EXPECTED, dtype=np.float32))


def test_a_batch_and_a_chunked_table_give_the_same_matrix() -> None:
    batch = _table().to_batches()[0]
    chunked = pa.concat_tables([_table().slice(0, 1), _table().slice(1)])
    np.testing.assert_array_equal(encode(batch, FEATURES, CATEGORIES), encode(chunked, FEATURES, CATEGORIES))


def test_nan_in_a_number_is_missing_and_no_rows_give_no_rows() -> None:
    table = pa.table({"seats": [1.5, NAN]})
    np.testing.assert_array_equal(encode(table, FEATURES[1:2], {}), np.array([[1.5], [NAN]], dtype=np.float32))
    assert encode(table.slice(0, 0), FEATURES[1:2], {}).shape == (0, 1)


LARGEST = 3.4028234663852886e38


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
@pytest.mark.parametrize("size", [np.inf, 1e39, 1e300, 3.5e38, LARGEST, 3e38, 1e-30])
def test_a_number_that_float32_does_not_hold_is_missing(size: float, kind: pa.DataType) -> None:
    for value in (size, -size):
        with np.errstate(over="ignore"):
            column = pa.array(np.array([1.5, value]).astype(kind.to_pandas_dtype()))
        matrix = encode(pa.table({"seats": column}), FEATURES[1:2], {})
        held = np.float32(value) if size <= LARGEST else np.float32(np.nan)
        np.testing.assert_array_equal(matrix, np.array([[1.5], [held]], dtype=np.float32))
        np.testing.assert_array_equal(to_float32([1.5, value]), matrix[:, 0])
        assert is_known([value, NAN]).tolist() == [size <= LARGEST, False]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (_table().drop_columns(["seats"]), "column seats is missing"),
        (_table().set_column(2, "seats", pa.array(["1", "2", "3", "4"])), "column seats is string"),
        (_table().set_column(1, "carrier", pa.array([1, 2, 3, 4])), "column carrier is int64"),
        (_table().set_column(1, "carrier", pa.nulls(4)), "column carrier is null"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_column(table: pa.Table, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        encode(table, FEATURES, CATEGORIES)
    assert caught.value.where == message.split()[1]
