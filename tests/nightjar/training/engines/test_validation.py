"""The metric that training watches: which one, its value, and in which direction rounds improve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.training_sets import training_set

from nightjar.declaration.problem import Binary, Cost, CostMatrix, Multiclass, Problem, Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.protocol.errors import TrainingError
from nightjar.training.engines.validation import ValidationMetric

CLASSES = Multiclass(classes=("kept", "returned", "swapped"), cost=CostMatrix(costs={"kept": {"returned": 1.0}}))
NUMBER = Regression(unit="days")
BAND = Regression(unit="days", loss="quantile", quantiles=(0.1, 0.5, 0.9), cost=QuantileCost(under=3, over=1))
WITH_COST = Binary(cost=Cost(missed=4, false_alarm=1))


def watched(problem: Problem, decisive: str) -> ValidationMetric:
    """The metric of a recipe."""
    return ValidationMetric.of(replace(training_set(()).recipe, problem=problem, decisive_metric=decisive))


@pytest.mark.parametrize(
    ("problem", "decisive", "name"),
    [
        (Binary(), "log_loss", "log_loss"),
        (Binary(), "auc", "auc"),
        (Binary(), "pr_auc", "pr_auc"),
        (Binary(), "brier", "brier"),
        (Binary(), "calibration_error", "log_loss"),
        (WITH_COST, "expected_cost", "log_loss"),
        (CLASSES, "accuracy", "accuracy"),
        (CLASSES, "macro_f1", "log_loss"),
        (CLASSES, "expected_cost", "log_loss"),
        (NUMBER, "rmse", "rmse"),
        (NUMBER, "mae", "mae"),
        (BAND, "mae", "mae"),
        (BAND, "coverage_error", "pinball"),
        (BAND, "expected_cost", "pinball"),
    ],
)
def test_the_decisive_metric_is_watched_where_sums_give_it_and_the_loss_elsewhere(
    problem: Problem, decisive: str, name: str
) -> None:
    assert watched(problem, decisive).name == name


@pytest.mark.parametrize("metric", ["auc", "accuracy", "log_loss", "rmse"])
def test_the_best_round_is_the_first_with_the_best_value(metric: str) -> None:
    problems: dict[str, Problem] = {"auc": Binary(), "rmse": NUMBER}
    problem = problems.get(metric, CLASSES)
    rising = [0.6, 0.7, 0.8, 0.7, 0.8, 0.5]
    history = [1 - value for value in rising] if metric in ("log_loss", "rmse") else rising
    assert watched(problem, metric).best_round(history) == 2


@pytest.mark.parametrize(
    ("metric", "history"), [("auc", [0.7, 0.8, 0.75, 0.79, 0.8]), ("log_loss", [0.5, 0.4, 0.45, 0.41, 0.4])]
)
def test_rounds_stall_when_none_is_better_than_the_best_for_the_patience(metric: str, history: list[float]) -> None:
    rounds = watched(Binary(), metric)
    assert not rounds.stalled(history[:2], 3)
    assert not rounds.stalled(history[:4], 3)
    assert rounds.stalled(history, 3)
    assert not rounds.stalled(history, 4)
    assert not rounds.stalled(history, None)
    assert not rounds.stalled([], 1)


@pytest.mark.parametrize(
    ("metric", "exact"),
    [
        ("auc", sk.roc_auc_score),
        ("pr_auc", sk.average_precision_score),
        ("log_loss", sk.log_loss),
        ("brier", sk.brier_score_loss),
    ],
)
def test_the_value_is_that_of_all_rows(metric: str, exact: object) -> None:
    random = np.random.default_rng(2)
    predictions = random.integers(1, 999, 3000) / 1000
    labels = (random.random(3000) < predictions).astype(np.float32)
    expected = pytest.approx(exact(labels, predictions), abs=2e-4)  # type: ignore[operator]
    rows = watched(Binary(), metric)
    assert rows.of_rows(labels, predictions) == expected
    assert rows.over_ranks(labels, predictions.astype(np.float32), after="round 1") == expected


@pytest.mark.parametrize(
    ("problem", "metric", "shape"),
    [(Binary(), "auc", 4), (Binary(), "log_loss", 4), (CLASSES, "log_loss", (4, 3)), (BAND, "pinball", (4, 3))],
)
def test_predictions_that_are_not_finite_are_counted_by_row(
    problem: Problem, metric: str, shape: int | tuple[int, int]
) -> None:
    outputs = np.full(shape, 0.25)
    outputs[[1, 3]] = np.nan
    with pytest.raises(TrainingError, match="2 predictions are not finite after epoch 7: the loss has diverged"):
        watched(problem, metric).over_ranks(np.array([0.0, 1.0, 1.0, 0.0]), outputs, after="epoch 7")
