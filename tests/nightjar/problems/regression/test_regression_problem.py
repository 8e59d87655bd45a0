"""Labels, objective, ensembles and columns of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.nightjar.problems.regression.samples import AMOUNTS, COUNTS, MEAN, QUANTILES, WITH_QUANTILES, sample
from tests.ranks import alone, on_ranks

from nightjar.declaration.problem import Regression
from nightjar.problems.registry import problem_type
from nightjar.problems.regression.problem import RegressionProblem

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LABELS = [1.5, -2.0, 0.0, -0.0, 1e-60, -1e-60, 1e39, -1e39, float("nan"), float("inf"), float("-inf"), None, 3e38]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("problem", "valid"),
    [(MEAN, [1.5, -2.0, 0.0, -0.0, 1e-60, -1e-60, 3e38]), (COUNTS, [1.5, 0.0, -0.0, 1e-60, 3e38])],
)
def test_conditions_on_labels_match_what_training_reads(
    spark: SparkSession, problem: RegressionProblem, valid: list[float]
) -> None:
    rows = spark.createDataFrame([(label,) for label in LABELS], "label double").where(problem.valid_label)
    assert [row.label for row in rows.collect()] == valid
    counts = problem.count_labels(np.array(valid, np.float32))
    assert counts == {"positive": 2, "negative": 1 if problem is MEAN else 0}
    for group, condition in problem.label_counts.items():
        assert rows.where(condition).count() == counts[group]
    assert problem.count_labels(np.array(valid)) == counts


def test_labels_are_encoded_as_they_are() -> None:
    column = pa.chunked_array([[1.5, -2.0], [0.0]])
    assert MEAN.encode_labels(pa.table({"label": column})).tolist() == [1.5, -2.0, 0.0]


@pytest.mark.parametrize(
    ("problem", "rows", "positive", "to_training", "to_measuring"),
    [
        (MEAN, 0, 0, "no labels", "no labels"),
        (COUNTS, 0, 0, "no labels", "no labels"),
        (MEAN, 5, 0, "", ""),
        (COUNTS, 5, 0, "no signal: all 5 labels are 0", ""),
        (AMOUNTS, 5, 1, "", ""),
    ],
)
def test_obstacles(problem: RegressionProblem, rows: int, positive: int, to_training: str, to_measuring: str) -> None:
    counts = {"positive": positive, "negative": 0}
    assert problem.obstacle_to_training(rows, counts) == to_training
    assert problem.obstacle_to_measuring(rows, counts) == to_measuring


@pytest.mark.parametrize(
    ("declared", "decisive", "watched"),
    [
        (Regression(unit="min"), "rmse", "rmse"),
        (Regression(unit="min"), "mae", "mae"),
        (Regression(unit="min", loss="huber"), "rmse", "rmse"),
        (WITH_QUANTILES.declared, "pinball", "pinball"),
        (WITH_QUANTILES.declared, "coverage_error", "pinball"),
        (WITH_QUANTILES.declared, "expected_cost", "pinball"),
        (COUNTS.declared, "poisson_deviance", "poisson_deviance"),
        (AMOUNTS.declared, "mae", "mae"),
    ],
)
def test_training_watches_the_decisive_metric_if_sums_give_it(
    declared: Regression, decisive: str, watched: str
) -> None:
    metric = RegressionProblem(declared).validation_metric(decisive)
    assert (metric.name, metric.lower_is_better) == (watched, True)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (200,)),
        ({"loss": "absolute"}, (200,)),
        ({"loss": "huber", "huber_slope": 2.0}, (200,)),
        ({"loss": "poisson"}, (200,)),
        ({"loss": "tweedie", "tweedie_power": 1.25}, (200,)),
        ({"loss": "quantile", "quantiles": QUANTILES}, (200, 4)),
        ({"loss": "quantile", "quantiles": (0.5,)}, (200, 1)),
    ],
)
def test_xgboost_trains_with_the_parameters_into_outputs(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    import xgboost

    problem = problem_type(Regression(unit="min", **options))
    rng = np.random.default_rng(0)
    matrix = rng.uniform(0, 5, (200, 2)).astype(np.float32)
    labels = rng.poisson(matrix[:, 0]).astype(np.float32)
    booster = xgboost.train(problem.boosting_params(), xgboost.DMatrix(matrix, labels), num_boost_round=20)
    outputs = np.asarray(booster.inplace_predict(matrix), np.float64)
    metric = problem.validation_metric("").name
    watched = problem.validation_value(metric, problem.validation_sums(metric, labels, outputs))
    blended = problem.blend([outputs], (1.0,))
    assert blended.shape == shape
    measured = problem.measure(labels, blended)
    assert measured["mae"] < np.abs(labels - labels.mean()).mean()
    if "quantiles" not in options or len(options["quantiles"]) == 1:
        assert watched == pytest.approx(measured[metric])
    config = booster.save_config()
    for name, value in options.items():
        assert isinstance(value, str | tuple) or f'"{name.replace("power", "variance_power")}":"{value:g}"' in config


@given(seed=st.integers(0, 10_000), members=st.integers(1, 3), weight=st.floats(0, 1))
def test_blended_quantiles_never_cross_and_cost_no_more_than_unsorted(seed: int, members: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.normal(0, 1, 30)
    outputs = [rng.normal(0, 1, (30, 4)) for _ in range(members)]
    weights = [weight, *[(1 - weight) / (members - 1)] * (members - 1)] if members > 1 else [1.0]
    blended = WITH_QUANTILES.blend(outputs, weights)
    assert (np.diff(blended, axis=1) >= 0).all()
    if members == 1:
        np.testing.assert_array_equal(blended, np.sort(outputs[0], axis=1))
        unsorted = WITH_QUANTILES.validation_sums("pinball", labels, outputs[0])
        assert WITH_QUANTILES.validation_sums("pinball", labels, blended)[0] <= unsorted[0] + 1e-9
    single = [output[:, 0] for output in outputs]
    np.testing.assert_allclose(
        MEAN.blend(single, weights), sum(w * o for w, o in zip(weights, single, strict=True)), atol=1e-12
    )


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber", "poisson", "tweedie", "quantile"])
def test_weights_favour_the_members_that_are_right_on_any_number_of_ranks(loss: Any) -> None:
    problem = RegressionProblem(Regression(unit="min", loss=loss, quantiles=QUANTILES if loss == "quantile" else ()))
    labels, right = sample(900)
    wrong = np.full_like(right, 100.0)
    if loss != "quantile":
        right, wrong = right[:, 2], wrong[:, 2]
    weights = problem.fit_weights(labels, [wrong, right], alone)
    assert weights == pytest.approx((0.0, 1.0), abs=2e-3)
    parts = [(labels[i::3], [wrong[i::3], right[i::3]]) for i in range(3)]
    assert on_ranks(lambda part, total: problem.fit_weights(*part, total), parts) == pytest.approx(weights, abs=1e-9)
    assert problem.fit_weights(labels, [wrong], alone) == (1.0,)


def test_weights_minimize_the_squared_error_of_means_and_the_pinball_loss_of_medians() -> None:
    rng = np.random.default_rng(0)
    labels = rng.exponential(2, 500)
    members = [np.full(500, 1.2), np.full(500, 3.0)]  # the median is 1.4, the mean 2
    for loss in ("squared", "poisson", "tweedie"):
        weights = RegressionProblem(Regression(unit="min", loss=loss)).fit_weights(labels, members, alone)
        assert weights @ np.array([1.2, 3.0]) == pytest.approx(labels.mean(), abs=1e-6)
    for loss in ("absolute", "huber"):
        weights = RegressionProblem(Regression(unit="min", loss=loss)).fit_weights(labels, members, alone)
        assert weights @ np.array([1.2, 3.0]) == pytest.approx(np.median(labels), abs=0.05)


def test_columns_are_those_of_the_declaration() -> None:
    outputs = np.array([[1.0, 2.0, 4.0, 8.0], [1.0, 1.0, 1.0, 1.0]])
    columns = WITH_QUANTILES.columns(outputs)
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "prediction": [4.0, 1.0],
        "q10": [1.0, 1.0],
        "q25": [2.0, 1.0],
        "q50": [4.0, 1.0],
        "q90": [8.0, 1.0],
        "decision": [4.0 + 4.0 * 0.25 / 0.4, 1.0],
    }
    declared = (*WITH_QUANTILES.declared.prediction_columns("Delay."), *WITH_QUANTILES.declared.decision_columns)
    assert {column.name: column.type for column in declared} == {name: str(c.type) for name, c in columns.items()}


def test_decision_without_costs_is_null() -> None:
    columns = MEAN.columns(np.array([1.0, 2.0]))
    assert columns["prediction"].to_pylist() == [1.0, 2.0]
    assert (columns["decision"].type, columns["decision"].null_count) == (pa.float64(), 2)
