"""The page of a holdout: plots of each problem type with right figures, and what features are worth."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve
from tests.nightjar.training.engines.linear.rows import FEATURES, matrix_of, set_of, shard_of, signal_of
from tests.training_sets import context

from nightjar.declaration.engines import Boosting, LightGBM, Network
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.declaration.ranking import Ranking
from nightjar.monitoring.holdout import parts
from nightjar.monitoring.holdout.importances import Sample, importances_of
from nightjar.monitoring.holdout.page import HoldoutPage, render
from nightjar.monitoring.holdout.parts import Plot, Table, parts_of
from nightjar.problems.binary.calibration import Calibrator
from nightjar.problems.binary.metrics import auc_counts
from nightjar.training.engines.member import Trees
from nightjar.training.engines.registry import ENGINES
from nightjar.training.engines.validation import ValidationMetric
from nightjar.training.model import ModelCard, TabularModel

BAND = Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5, 0.9))
RANDOM = np.random.default_rng(3)


def test_curves_of_a_yes_no_question_are_scikit_learn_s() -> None:
    predictions = np.round(RANDOM.random(3000), 3)
    labels = (RANDOM.random(3000) < predictions).astype(float)
    counts = auc_counts(labels, predictions)
    false_rates, true_rates, _ = roc_curve(labels, predictions)
    xs, ys = parts._roc(counts)
    for x, y in zip(xs, ys, strict=True):
        assert np.min(np.hypot(false_rates - x, true_rates - y)) < 5e-3
    precision, recall, _ = precision_recall_curve(labels, predictions)
    xs, ys = parts._precision_recall(counts)
    for x, y in zip(xs, ys, strict=True):
        assert np.min(np.hypot(recall - x, precision - y)) < 5e-3
    assert xs[-1] == 1.0


def test_calibration_compares_predicted_and_observed_shares() -> None:
    predictions = np.repeat([0.1, 0.3], 500)
    labels = np.concatenate([np.arange(500) < 50, np.arange(500) < 250]).astype(float)
    (*_, calibration) = parts_of(Binary(), labels, {"this model": predictions})
    assert isinstance(calibration, Plot)
    label = re.search(r'aria-label="([^"]*)"', calibration.svg)
    assert label is not None
    assert label[1].count("predicted 10\u202f%") == 5
    assert "observed 100\u202f%" in label[1], "the first positives of a group of equal predictions come first"


def test_a_confusion_matrix_counts_rows() -> None:
    probabilities = np.eye(3)[[0, 1, 1, 2, 2, 2]]
    (matrix,) = parts_of(Multiclass(classes=("a", "b", "c")), np.array([0.0, 0, 1, 2, 2, 0]), {"x": probabilities})
    assert isinstance(matrix, Table)
    assert dict(matrix.lines) == {"a": [1, 1, 1], "b": [0, 1, 0], "c": [0, 0, 2]}
    assert matrix.largest == 2.0


def test_quantiles_are_compared_with_the_share_of_labels_below() -> None:
    labels = np.arange(100.0)
    outputs = np.stack([np.full(100, 19.0), np.full(100, 49.0), np.full(100, 79.0)], axis=1)
    *_, by_group, coverage = parts_of(BAND, labels, {"this model": outputs})
    assert isinstance(coverage, Plot)
    assert "observed 20\u202f%" in coverage.svg
    assert "observed 80\u202f%" in coverage.svg
    assert isinstance(by_group, Table)
    predicted, observed, mean_error, _ = np.array([cells for _, cells in by_group.lines]).mean(axis=0)
    assert (predicted, observed, mean_error) == pytest.approx((49.0, 49.5, 0.5))


def test_forecasts_have_their_error_by_step_for_each_model() -> None:
    problem = Forecast(unit="units", horizon=2, season=7)
    labels = np.array([[10.0, 1, 1, 0], [20.0, 1, 1, 0], [10.0, 1, 2, 0], [30.0, 1, 2, 0]])
    right, low = np.repeat(labels[:, :1], 3, axis=1), np.repeat(labels[:, :1] - 5, 3, axis=1)
    table, *_ = parts_of(problem, labels, {"this model": right, "ets": low})
    assert isinstance(table, Table)
    assert table.header == ("this model", "ets")
    assert dict(table.lines) == {"1": [0.0, pytest.approx(10 / 30)], "2": [0.0, pytest.approx(10 / 40)]}


def test_rankings_have_ndcg_by_length() -> None:
    problem = Ranking(group=("shop",), item=("item",), k=2, popularity="sold", last_seen="seen")
    labels = np.array([[0.0, 1], [1.0, 0], [0.0, 0], [1.0, 1], [0.0, 0]])
    (table,) = parts_of(problem, labels, {"this model": np.array([0.2, 0.9, 0.1, 0.8, 0.3])})
    assert isinstance(table, Table)
    assert all(cells == [1.0] for _, cells in table.lines)
    (worst,) = parts_of(problem, labels, {"this model": np.array([0.9, 0.2, 0.1, 0.3, 0.8])})
    assert isinstance(worst, Table)
    assert dict(worst.lines)["1"] == [0.0]


def _model(engine: Any, problem: Problem) -> tuple[TabularModel, Sample, ValidationMetric]:
    matrix = matrix_of(600)
    labels = signal_of(matrix) + (3.0 if problem.kind == "regression" else 0.0)
    if problem.kind == "multiclass":
        labels = np.digitize(labels, [-0.5, 0.5]).astype(float)
    rows = context(shard_of(problem, matrix, labels), shard_of(problem, matrix, labels), set_of(problem, 600))
    fitted = ENGINES[engine.kind].fit(engine, rows)
    card = ModelCard(
        use_case="x", features=FEATURES, categories={"carrier": ("AA", "UA")}, label="", prediction="",
        problem=problem, members=(fitted.card,), calibrator=Calibrator(), seed=1, world_size=1,
        validation_metric="x", validation_score=0.0, tables={},
    )  # fmt: skip
    model = TabularModel(card=card, members=(fitted.member,), profile="{}", sha256="0" * 64)
    return model, Sample(matrix=matrix, labels=labels), rows.metric


@pytest.mark.parametrize("problem", [Regression(unit="min"), Multiclass(classes=("a", "b", "c")), BAND])
@pytest.mark.parametrize("engine", [Boosting(num_rounds=20), LightGBM(num_rounds=20), Network(epochs=10)])
def test_features_that_matter_come_first(engine: Any, problem: Problem) -> None:
    if engine.kind == "network":
        engine = Network(epochs=15, batch_size=64, hidden=(16,), learning_rate=0.01)
    model, sample, metric = _model(engine, problem)
    found = importances_of(model, metric, sample, seed=1, threads=1)
    assert list(found) == (["permutation"] if engine.kind == "network" else ["permutation", "gain", "mean_abs_shap"])
    for values in found.values():
        assert set(list(values)[:2]) == {"distance", "carrier"}
        assert abs(values["unknown"]) < 0.2 * values["distance"]
    if engine.kind != "network":
        assert sum(found["gain"].values()) == pytest.approx(1.0)
        (member,) = model.members
        assert isinstance(member, Trees)
        assert member.contributions(sample.matrix, threads=1).shape[-1] == len(FEATURES)
    assert importances_of(model, metric, sample, seed=1, threads=1) == found


def test_the_page_is_self_contained_and_equal_for_equal_contents() -> None:
    labels, predictions = np.array([0.0, 1, 0, 1] * 20), np.linspace(0, 1, 80)
    page = HoldoutPage(
        title="Late <flights>",
        run="manual__1",
        days=("2013-06-01", "2013-06-14"),
        rows=80,
        sampled=80,
        models=["this model", "baseline"],
        metrics={"auc": [0.7, None]},
        more_metrics={"rows": [80.0, 80.0]},
        metric="log loss",
        parts=parts_of(Binary(), labels, {"this model": predictions, "baseline": predictions[::-1]}),
        importances={"permutation": {f"feature_{n}": 1.0 / (n + 1) for n in range(30)}},
    )
    text = render(page)
    assert text == render(page)
    assert "Late &lt;flights&gt;" in text
    assert "http://" not in text
    assert "https://" not in text
    assert "<script" not in text
    assert text.count('class="curve') == 4
    assert text.count("Pale: baseline.") == 2
    assert "1 more:" in text
    assert "The first 20 of 30." in text
    assert "feature_19" in text
    assert "feature_20" not in text
    assert "0.7" in text
