"""The baseline of several classes equals scikit-learn's multinomial regression, on any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from tests.nightjar.training.engines.linear.rows import matrix_of, set_of, shard_of, signal_of
from tests.ranks import Ranks

from nightjar.declaration.problem import Multiclass
from nightjar.protocol.errors import TrainingError
from nightjar.training.data import moments
from nightjar.training.engines.linear import inputs, multinomial
from nightjar.training.engines.linear.inputs import RIDGE
from nightjar.training.engines.linear.multinomial import Multinomial

PROBLEM = Multiclass(classes=("a", "b", "c"))


def rows_of(rows: int, *, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    matrix = matrix_of(rows, seed=seed)
    logits = np.outer(signal_of(matrix), [-1.0, 0.5, 1.0]) + np.array([0.0, 1.0, 0.0])
    return matrix, (logits + np.random.default_rng(seed).gumbel(size=logits.shape)).argmax(axis=1)


def fitted(matrix: np.ndarray, labels: np.ndarray) -> Multinomial:
    return multinomial.fit(shard_of(PROBLEM, matrix, labels), set_of(PROBLEM, len(labels)))


def test_probabilities_match_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    matrix, labels = rows_of(4000)
    model = fitted(matrix, labels)
    columns = model.inputs.columns(matrix)[:, 1:]
    theirs = LogisticRegression(C=1 / (RIDGE * len(labels)), tol=1e-10, max_iter=2000).fit(columns, labels)
    found = model.predict(matrix, threads=1)
    np.testing.assert_allclose(found, theirs.predict_proba(columns), atol=1e-5)
    np.testing.assert_allclose(found.mean(axis=0), np.bincount(labels) / len(labels), atol=1e-5)


def test_ranks_fit_the_weights_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, labels = rows_of(1500)
    whole = fitted(matrix, labels)
    ranks = Ranks(3)
    for module in (moments, multinomial):
        monkeypatch.setattr(module, "sum_over_ranks", ranks.sum_over_ranks)
    parts = [slice(0, 900), slice(900, 1500), slice(0, 0)]  # the last rank has no days
    found = ranks.run(
        lambda part: multinomial.fit(shard_of(PROBLEM, matrix[part], labels[part]), set_of(PROBLEM, 1500)), parts
    )
    assert found[0] == found[1] == found[2]
    np.testing.assert_allclose(found[0].weights, whole.weights, atol=1e-6)


def test_class_without_a_sampled_row_is_improbable(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, labels = rows_of(2000)
    labels = np.where(labels == 2, 1, labels)
    labels[1] = 2
    monkeypatch.setattr(inputs, "MAX_ROWS", 1000)  # every second row, from the first
    probabilities = fitted(matrix, labels).predict(matrix, threads=1)
    assert (probabilities[:, 2] < 1e-3).all()
    assert np.isfinite(np.log(probabilities)).all()


def test_separable_labels_converge() -> None:
    matrix = matrix_of(600)
    labels = np.digitize(signal_of(matrix), [-0.5, 1.0])
    probabilities = fitted(matrix, labels).predict(matrix, threads=1)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert np.mean(probabilities.argmax(axis=1) == labels) > 0.9


def test_member_survives_a_round_trip_and_predicts_each_row_alone() -> None:
    matrix, labels = rows_of(2000)
    model = fitted(matrix, labels)
    assert multinomial.load(model.content()) == model
    whole = model.predict(matrix, threads=1)
    for start, stop in ((0, 1), (17, 18), (100, 163), (1999, 2000)):
        np.testing.assert_array_equal(model.predict(matrix[start:stop], threads=1), whole[start:stop])
    assert model.card(0.5).kind == "multinomial"


def test_infinite_feature_is_an_error() -> None:
    matrix, labels = rows_of(100)
    matrix[3, 0] = np.inf
    with pytest.raises(TrainingError, match="the baseline does not converge"):
        fitted(matrix, labels)
