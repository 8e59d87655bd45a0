"""The baseline of numbers equals scikit-learn's ridge regression, on any number of ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.nightjar.training.engines.linear.rows import matrix_of, set_of, shard_of, signal_of
from tests.ranks import Ranks

from nightjar.declaration.problem import Regression
from nightjar.protocol.errors import TrainingError
from nightjar.training.data import moments
from nightjar.training.engines.linear import inputs, ridge
from nightjar.training.engines.linear.inputs import RIDGE
from nightjar.training.engines.linear.ridge import MIN_SHARE, Ridge

QUANTILES = (0.1, 0.5, 0.9)
MEAN = Regression(unit="min")
WITH_QUANTILES = Regression(unit="min", loss="quantile", quantiles=QUANTILES)


def rows_of(rows: int, *, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    matrix = matrix_of(rows, seed=seed)
    return matrix, 30 + 10 * signal_of(matrix) + np.random.default_rng(seed).exponential(5, rows)


def fitted(matrix: np.ndarray, labels: np.ndarray, problem: Regression = MEAN) -> Ridge:
    return ridge.fit(shard_of(problem, matrix, labels), set_of(problem, len(labels)))


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_predictions_match_scikit_learn(loss: Any) -> None:
    from sklearn.linear_model import Ridge as Theirs

    matrix, labels = rows_of(4000)
    model = fitted(matrix, labels, Regression(unit="min", loss=loss))
    columns = model.inputs.columns(matrix)[:, 1:]
    theirs = Theirs(alpha=RIDGE * len(labels)).fit(columns, labels.astype(np.float32).astype(float))
    np.testing.assert_allclose(model.predict(matrix, threads=1), theirs.predict(columns), rtol=1e-9)


def test_each_quantile_holds() -> None:
    matrix, labels = rows_of(4000)
    outputs = fitted(matrix, labels, WITH_QUANTILES).predict(matrix, threads=1)
    assert outputs.shape == (4000, 3)
    np.testing.assert_allclose((labels[:, None] <= outputs).mean(axis=0), QUANTILES, atol=5e-4)
    assert (np.diff(outputs, axis=1) > 0).all()
    median = fitted(matrix, labels, Regression(unit="min", loss="absolute")).predict(matrix, threads=1)
    np.testing.assert_array_equal(median, outputs[:, 1])


@pytest.mark.parametrize("loss", ["poisson", "tweedie"])
def test_predictions_of_labels_of_at_least_0_are_positive(loss: Any) -> None:
    matrix, labels = rows_of(1000)
    labels = np.maximum(labels - 35, 0)
    assert fitted(matrix, labels).predict(matrix, threads=1).min() < 0
    positive = fitted(matrix, labels, Regression(unit="min", loss=loss)).predict(matrix, threads=1)
    assert positive.min() == pytest.approx(MIN_SHARE * labels.mean(), rel=1e-6)


@pytest.mark.parametrize("problem", [MEAN, WITH_QUANTILES, Regression(unit="min", loss="poisson")])
def test_ranks_fit_the_weights_of_all_rows(problem: Regression, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, labels = rows_of(1500)
    whole = fitted(matrix, labels, problem)
    ranks = Ranks(3)
    for module in (moments, ridge):
        monkeypatch.setattr(module, "sum_over_ranks", ranks.sum_over_ranks)
    parts = [slice(0, 900), slice(900, 1500), slice(0, 0)]  # the last rank has no days
    found = ranks.run(
        lambda part: ridge.fit(shard_of(problem, matrix[part], labels[part]), set_of(problem, 1500)), parts
    )
    assert found[0] == found[1] == found[2]
    np.testing.assert_allclose(found[0].predict(matrix, threads=1), whole.predict(matrix, threads=1), rtol=1e-8)


def test_many_rows_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, labels = rows_of(4000)
    whole = fitted(matrix, labels).predict(matrix, threads=1)
    monkeypatch.setattr(inputs, "MAX_ROWS", 2000)
    thinned = fitted(matrix, labels).predict(matrix, threads=1)
    assert not np.array_equal(thinned, whole)
    np.testing.assert_allclose(thinned, whole, atol=1.0)


@pytest.mark.parametrize("problem", [MEAN, WITH_QUANTILES, Regression(unit="min", loss="poisson")])
def test_member_survives_a_round_trip_and_predicts_each_row_alone(problem: Regression) -> None:
    matrix, labels = rows_of(2000)
    model = fitted(matrix, labels, problem)
    assert ridge.load(model.content()) == model
    whole = model.predict(matrix, threads=1)
    for start, stop in ((0, 1), (17, 18), (100, 163), (1999, 2000)):
        np.testing.assert_array_equal(model.predict(matrix[start:stop], threads=1), whole[start:stop])
    assert model.card(0.5).kind == "ridge"


def test_infinite_feature_is_an_error() -> None:
    matrix, labels = rows_of(100)
    matrix[3, 0] = np.inf
    with pytest.raises(TrainingError, match="the baseline's weights are not finite"):
        fitted(matrix, labels)
