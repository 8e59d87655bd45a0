"""Encode Arrow columns as the model's input matrix; used by training, evaluation and scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.lake.numbers import to_float32
from nightjar.protocol.errors import ModelError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def encode(
    table: pa.Table | pa.RecordBatch, features: Sequence[Feature], categories: Mapping[str, Sequence[str]]
) -> NDArray[np.float32]:
    """Return the rows of ``table`` as a matrix (rows x features), in the order of ``features``.

    Numbers are cast to float32; a category becomes its position in the vocabulary. Nulls, numbers outside the range of
    float32 (:mod:`nightjar.lake.numbers`) and unknown categories become NaN.

    Raises:
        ModelError: when a column is missing or of another type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    check_columns(table.schema, features)
    matrix = np.empty((table.num_rows, len(features)), dtype=np.float32, order="C")
    for position, feature in enumerate(features):
        column = table.column(feature.name)
        if feature.kind == "categorical":
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            vocabulary = pa.array(list(categories[feature.name]), column.type)
            # skip_nulls: a null stays missing even if the vocabulary contains null
            column = pc.index_in(column, value_set=vocabulary, skip_nulls=True)
        numbers = pc.fill_null(pc.cast(column, pa.float64(), safe=False), float("nan"))
        matrix[:, position] = to_float32(numbers)
    return matrix


def check_columns(schema: pa.Schema, features: Sequence[Feature]) -> None:
    """Check that the model can read a table.

    Raises:
        ModelError: naming the first column that is missing or of another type, and counting all.
    """
    problems = [problem for feature in features if (problem := _problem(schema, feature))]
    if problems:
        raise ModelError(
            problems[0],
            where=problems[0].split()[1],
            how_many=len(problems),
            fix="score with a model trained on this feature table, or rebuild the features with the model's code",
        )


def _problem(schema: pa.Schema, feature: Feature) -> str:
    import pyarrow.types as types

    if schema.get_field_index(feature.name) < 0:
        return f"column {feature.name} is missing"
    column_type = schema.field(feature.name).type
    value = column_type.value_type if types.is_dictionary(column_type) else column_type
    if feature.kind == "categorical":
        fits = types.is_string(value) or types.is_large_string(value)
    else:
        fits = any(check(column_type) for check in (types.is_integer, types.is_floating, types.is_boolean))
    return "" if fits else f"column {feature.name} is {column_type}, where the model reads {feature.kind} values"
