"""The baseline equals scikit-learn's logistic regression, on any number of ranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.training_sets import NOTHING, count_labels, training_set

from nightjar.declaration.features import Feature
from nightjar.training.data.encoding import encode
from nightjar.training.data.shards import Shard
from nightjar.training.engines.linear import baseline, inputs
from nightjar.training.engines.linear.baseline import Baseline
from nightjar.training.engines.linear.inputs import RIDGE

FEATURES = (
    Feature("distance", "numeric", "Miles."),
    Feature("carrier", "categorical", "Carrier."),
    Feature("constant", "numeric", "Always the same."),
    Feature("unknown", "numeric", "Never there."),
)
CATEGORIES = {"carrier": ("AA", "UA")}


def rows(n: int = 4000) -> tuple[pa.Table, np.ndarray]:
    rng = np.random.default_rng(5)
    distance = rng.normal(800, 300, n)
    carrier = rng.choice(["AA", "UA", "ZZ"], n)
    strength = (distance - 800) / 200 + (carrier == "UA")
    labels = (rng.random(n) < 1 / (1 + np.exp(-strength))).astype(np.float32)
    table = pa.table(
        {
            "distance": pa.array(distance, mask=rng.random(n) < 0.1),
            "carrier": carrier,
            "constant": np.full(n, 7.0),
            "unknown": pa.nulls(n, pa.float64()),
        }
    )
    return table, labels


def fitted(table: pa.Table, labels: np.ndarray) -> Baseline:
    shard = Shard(columns=len(FEATURES), count_labels=count_labels)
    matrix = encode(table, FEATURES, CATEGORIES)
    for start in range(0, len(labels), 700):
        shard.append(matrix[start : start + 700], labels[start : start + 700])
    frozen = training_set(FEATURES, CATEGORIES)
    return baseline.fit(shard, replace(frozen, train=replace(NOTHING, rows=len(labels))))


def test_weights_match_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    table, labels = rows()
    model = fitted(table, labels)
    matrix = encode(table, FEATURES, CATEGORIES)
    columns = inputs.design(matrix, FEATURES, CATEGORIES, np.array(model.means), np.array(model.scales))
    theirs = LogisticRegression(C=1 / (RIDGE * len(labels)), tol=1e-10, max_iter=1000).fit(columns[:, 1:], labels)
    np.testing.assert_allclose(model.predict(matrix, threads=1), theirs.predict_proba(columns[:, 1:])[:, 1], atol=1e-5)
    assert model.means[0] == pytest.approx(np.nanmean(matrix[:, 0]), rel=1e-6)


def test_baseline_survives_a_round_trip() -> None:
    table, labels = rows(500)
    model = fitted(table, labels)
    matrix = encode(table, FEATURES, CATEGORIES)
    again = baseline.load(model.content())
    np.testing.assert_array_equal(again.predict(matrix, threads=1), model.predict(matrix, threads=1))


def test_prediction_of_a_row_is_independent_of_other_rows() -> None:
    table, labels = rows(2000)
    model = fitted(table, labels)
    matrix = encode(table, FEATURES, CATEGORIES)
    whole = model.predict(matrix, threads=1)
    for start, stop in ((0, 1), (17, 18), (100, 163), (1999, 2000)):
        np.testing.assert_array_equal(model.predict(matrix[start:stop], threads=1), whole[start:stop])


def test_separable_labels_converge() -> None:
    table, _ = rows(600)
    distance = np.nan_to_num(encode(table, FEATURES, CATEGORIES)[:, 0], nan=800.0)
    predicted = fitted(table, (distance > 800).astype(np.float32)).predict(
        encode(table, FEATURES, CATEGORIES), threads=1
    )
    assert ((predicted > 0) & (predicted < 1)).all()
    assert predicted[distance > 900].min() > 0.5 > predicted[distance < 700].max()


def test_many_rows_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    table, labels = rows()
    whole = fitted(table, labels)
    monkeypatch.setattr(inputs, "MAX_ROWS", 2000)
    thinned = fitted(table, labels)
    assert thinned.weights != whole.weights
    matrix = encode(table, FEATURES, CATEGORIES)
    np.testing.assert_allclose(thinned.predict(matrix, threads=1), whole.predict(matrix, threads=1), atol=0.1)
