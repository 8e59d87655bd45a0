"""The constant baseline predicts shares, means and quantiles of the labels of all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.nightjar.training.engines.linear.rows import matrix_of, set_of, shard_of
from tests.ranks import Ranks

from nightjar.declaration.problem import Multiclass, Problem, Regression
from nightjar.training.engines.linear import constant

LABELS = np.array([0.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 9.0])
CLASSES = Multiclass(classes=("a", "b", "c"))


def regression(**options: Any) -> Regression:
    return Regression(unit="min", **options)


CASES: list[tuple[Problem, np.ndarray, float | tuple[float, ...]]] = [
    (CLASSES, LABELS[:-1], (1 / 7, 2 / 7, 4 / 7)),
    (regression(), LABELS, 19 / 8),
    (regression(loss="huber"), LABELS, 19 / 8),
    (regression(loss="poisson"), LABELS, 19 / 8),
    (regression(loss="absolute"), np.arange(8.0), 3.0),
    (regression(loss="quantile", quantiles=(0.25, 0.5, 0.95)), LABELS, (1.0, 2.0, 9.0)),
]


@pytest.mark.parametrize(("problem", "labels", "expected"), CASES)
def test_prediction_is_the_same_for_each_row(
    problem: Problem, labels: np.ndarray, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = matrix_of(len(labels))
    model = constant.fit(shard_of(problem, matrix, labels), set_of(problem, len(labels)))
    assert model.outputs == pytest.approx(expected, abs=1e-9)
    predicted = model.predict(matrix[:3], threads=1)
    np.testing.assert_array_equal(predicted, [model.outputs] * 3)
    assert constant.load(model.content()) == model
    assert model.card(0.5).kind == "constant"
    ranks = Ranks(3)
    monkeypatch.setattr(constant, "sum_over_ranks", ranks.sum_over_ranks)
    parts = [slice(0, 3), slice(3, len(labels)), slice(0, 0)]  # the last rank has no days
    found = ranks.run(
        lambda part: constant.fit(shard_of(problem, matrix[part], labels[part]), set_of(problem, len(labels))), parts
    )
    assert found[0] == found[1] == found[2]
    assert found[0].outputs == pytest.approx(expected, abs=1e-9)
