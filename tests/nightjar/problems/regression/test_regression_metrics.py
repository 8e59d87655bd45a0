"""Metrics of numbers and quantiles equal scikit-learn's; decisions cost least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from tests.nightjar.problems.regression.samples import AMOUNTS, COST, COUNTS, MEAN, QUANTILES, WITH_QUANTILES, sample

from nightjar.declaration.problem import Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.problems.regression.metrics import costs_of_decisions, decide_quantile
from nightjar.problems.regression.problem import RegressionProblem
from nightjar.protocol.errors import GateError


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 200), width=st.floats(0, 3))
def test_metrics_of_quantiles_match_scikit_learn(seed: int, rows: int, width: float) -> None:
    labels, outputs = sample(rows, seed=seed, width=width)
    measured = WITH_QUANTILES.measure(labels, outputs)
    decisions = outputs[:, 2] + (0.75 - 0.5) / (0.9 - 0.5) * (outputs[:, 3] - outputs[:, 2])
    covered = np.mean([low <= label <= high for label, (low, *_, high) in zip(labels, outputs, strict=True)])
    expected = {
        "mae": sk.mean_absolute_error(labels, outputs[:, 2]),
        "rmse": sk.root_mean_squared_error(labels, outputs[:, 2]),
        "pinball": np.mean(
            [sk.mean_pinball_loss(labels, outputs[:, i], alpha=alpha) for i, alpha in enumerate(QUANTILES)]
        ),
        "coverage": covered,
        "coverage_error": abs(covered - 0.8),
        "expected_cost": 4 * sk.mean_pinball_loss(labels, decisions, alpha=0.75),
        "rows": rows,
        "positive": np.sum(labels > 0),
        "negative": np.sum(labels < 0),
    }
    assert measured == pytest.approx(expected, abs=1e-9)
    assert {*WITH_QUANTILES.declared.metrics} <= {*measured, "skill"}


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 200), power=st.floats(1.05, 1.95))
def test_deviances_match_scikit_learn(seed: int, rows: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    means = rng.gamma(2, 3, rows) + 1e-6
    labels = rng.poisson(means).astype(np.float32)
    measured = COUNTS.measure(labels, means)
    assert measured["poisson_deviance"] == pytest.approx(sk.mean_poisson_deviance(labels, means), rel=1e-9, abs=1e-9)
    assert measured["mae"] == pytest.approx(sk.mean_absolute_error(labels, means), abs=1e-9)
    assert {*measured, "skill"} == {*COUNTS.declared.metrics, "rows", "positive", "negative"}
    amounts = RegressionProblem(Regression(unit="USD", loss="tweedie", tweedie_power=power))
    assert amounts.measure(labels, means)["tweedie_deviance"] == pytest.approx(
        sk.mean_tweedie_deviance(labels.astype(float), means, power=power), rel=1e-9, abs=1e-9
    )


def test_deviance_of_a_prediction_of_0_is_finite() -> None:
    for problem, metric in ((COUNTS, "poisson_deviance"), (AMOUNTS, "tweedie_deviance")):
        measured = problem.measure(np.array([0.0, 2.0]), np.array([0.0, 0.0]))
        assert 10 < measured[metric] < np.inf


PROBLEMS = {
    "mae": MEAN,
    "rmse": MEAN,
    "pinball": WITH_QUANTILES,
    "poisson_deviance": COUNTS,
    "tweedie_deviance": AMOUNTS,
}


@pytest.mark.parametrize("metric", PROBLEMS)
@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(0, 99)))
def test_sums_of_any_parts_add_up_to_the_metric_of_all_rows(metric: str, seed: int, cuts: set[int]) -> None:
    problem = PROBLEMS[metric]
    labels, outputs = sample(100, seed=seed)
    if not problem.declared.quantiles:
        labels, outputs = np.abs(labels), np.abs(outputs[:, 0])
    parts = zip(np.split(labels, sorted(cuts)), np.split(outputs, sorted(cuts)), strict=True)
    total = sum(problem.validation_sums(metric, *part) for part in parts)
    assert problem.validation_value(metric, total) == pytest.approx(problem.measure(labels, outputs)[metric], rel=1e-12)


@given(under=st.floats(0.5, 9), over=st.floats(0.5, 9))
def test_decision_costs_least_of_all_numbers_where_quantiles_are_true(under: float, over: float) -> None:
    cost = QuantileCost(under=under, over=over)
    quantiles = (0.01, 0.05, 0.5, 0.96, 0.99)
    declared = Regression(unit="min", loss="quantile", quantiles=quantiles, cost=cost)
    (decision,) = decide_quantile(np.array([quantiles]), declared.quantiles, cost)  # labels are uniform between 0 and 1
    labels = (np.arange(1000) + 0.5) / 1000
    numbers = np.linspace(0, 1, 1001)
    costs = [costs_of_decisions(labels, np.full(1000, number), cost).sum() for number in numbers]
    assert decision == pytest.approx(numbers[int(np.argmin(costs))], abs=1.01e-3)


@pytest.mark.parametrize(
    ("quantiles", "under", "expected"),
    [((0.5,), 1.0, 10.0), ((0.25, 0.5, 0.75), 3.0, 14.0), ((0.25, 0.5, 0.75), 1 / 3, 8.0), ((0.5, 0.75), 1.0, 10.0)],
)
def test_decision_at_a_declared_quantile_is_that_quantile(
    quantiles: tuple[float, ...], under: float, expected: float
) -> None:
    cost = QuantileCost(under=under, over=1.0)
    declared = Regression(unit="min", loss="quantile", quantiles=quantiles, cost=cost)
    outputs = np.array([[{0.25: 8.0, 0.5: 10.0, 0.75: 14.0}[probability] for probability in quantiles]])
    assert decide_quantile(outputs, declared.quantiles, cost).tolist() == pytest.approx([expected])


def test_decision_of_a_row_is_independent_of_other_rows() -> None:
    _, outputs = sample(500)
    whole = decide_quantile(outputs, WITH_QUANTILES.declared.quantiles, COST)
    for start, stop in ((0, 1), (17, 18), (100, 163), (499, 500)):
        found = decide_quantile(outputs[start:stop], WITH_QUANTILES.declared.quantiles, COST)
        np.testing.assert_array_equal(found, whole[start:stop])


def test_no_rows_is_an_error() -> None:
    with pytest.raises(GateError, match="metrics need rows"):
        MEAN.measure(np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_an_error(bad: float) -> None:
    with pytest.raises(GateError, match=r"predictions are not finite.*how many: 1 "):
        MEAN.measure(np.array([1.0, 2.0]), np.array([1.0, bad]))


def test_negative_prediction_is_an_error_for_labels_of_at_least_0() -> None:
    with pytest.raises(GateError, match="predictions are negative, which the loss 'poisson' does not allow"):
        COUNTS.measure(np.array([1.0, 2.0]), np.array([1.0, -0.1]))
    assert MEAN.measure(np.array([1.0, 2.0]), np.array([1.0, -0.1]))["rmse"] == pytest.approx(np.sqrt(2.1**2 / 2))


@pytest.mark.parametrize(
    ("declared", "metric"),
    [
        (Regression(unit="min"), "rmse"),
        (Regression(unit="min", loss="absolute"), "mae"),
        (Regression(unit="min", loss="poisson"), "poisson_deviance"),
        (Regression(unit="min", loss="quantile", quantiles=(0.5,)), "pinball"),
    ],
)
def test_skill_compares_the_loss_with_that_of_the_constant_baseline(declared: Regression, metric: str) -> None:
    problem = RegressionProblem(declared)
    baselines = {"constant": {metric: 4.0}, "baseline": {metric: 1.0}}
    assert problem.compare({metric: 3.0}, baselines) == {"skill": 0.25}
    assert problem.compare({metric: 6.0}, baselines) == {"skill": -0.5}, "worse than the constant"
    assert problem.compare({metric: 3.0}, {"constant": {metric: 0.0}}) == {}, "nothing is better than a perfect one"
    assert not declared.metrics["skill"].lower_is_better
