"""Metrics against scikit-learn, and against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from nightjar.declaration.problem import Cost
from nightjar.problems.binary import metrics
from nightjar.protocol.errors import GateError


def _sample(ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    labels = (rng.random(4000) < 0.3).astype(float)
    predictions = np.clip(0.3 + 0.2 * labels + rng.normal(0, 0.2, 4000), 0, 1)
    return labels, predictions.round(2) if ties else predictions


@pytest.mark.parametrize("ties", [False, True])
def test_all_metrics_agree_with_scikit_learn(ties: bool) -> None:
    labels, predictions = _sample(ties)
    found = metrics.all_metrics(labels, predictions)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, predictions), abs=1e-12)
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(labels, predictions), abs=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, predictions), abs=1e-12)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(labels, predictions), abs=1e-12)
    assert (found["rows"], found["positives"]) == (4000, labels.sum())


def test_metrics_match_values_computed_by_hand() -> None:
    labels, predictions = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.4, 0.9])
    # pairs (positive, negative): .4>.1, .4=.4, .9>.1, .9>.4: 3.5 of 4
    assert metrics.auc(labels, predictions) == 3.5 / 4
    # thresholds .9: precision 1, recall 1/2; .4: precision 2/3, recall 1
    assert metrics.average_precision(labels, predictions) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert metrics.brier(labels, predictions) == pytest.approx((0.01 + 0.36 + 0.16 + 0.01) / 4)


COST = Cost(missed=60, false_alarm=40)
"""Alarms start at a probability of 0.4."""


def test_decision_costs_match_values_computed_by_hand() -> None:
    labels, predictions = np.array([0.0, 1.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.4, 0.9, 0.2])
    found = metrics.decision_metrics(labels, predictions >= COST.threshold, COST)
    # announced: .4 (an event), .4 (none), .9; missed: .2
    assert found == {
        "expected_cost": (60 + 40) / 5,
        "never_cost": 3 * 60 / 5,
        "always_cost": 2 * 40 / 5,
        "recall": 2 / 3,
        "precision": 2 / 3,
    }
    without_costs = metrics.decision_metrics(labels, predictions >= COST.threshold, None)
    assert without_costs == {"recall": 2 / 3, "precision": 2 / 3}
    assert metrics.decision_metrics(labels, predictions / 10 >= COST.threshold, COST)["precision"] == 0.0


@given(seed=st.integers(0, 10_000), missed=st.floats(0.1, 100), false_alarm=st.floats(0.1, 100))
@settings(max_examples=30)
def test_no_threshold_costs_less_than_that_of_the_costs_where_predictions_are_true(
    seed: int, missed: float, false_alarm: float
) -> None:
    cost = Cost(missed=missed, false_alarm=false_alarm)
    share = np.arange(11) / 10  # of ten rows each with the same prediction, exactly that share is positive
    predictions = np.repeat(share, 10)
    labels = np.concatenate([np.arange(10) < round(10 * p) for p in share]).astype(float)
    mine = metrics.decision_metrics(labels, predictions >= cost.threshold, cost)
    other = metrics.decision_metrics(labels, predictions >= np.random.default_rng(seed).random(), cost)
    assert mine["expected_cost"] <= min(other["expected_cost"], mine["never_cost"], mine["always_cost"]) + 1e-9


def test_calibration_error_matches_a_value_computed_by_hand() -> None:
    labels = np.array([0.0] * 8 + [1.0] * 2 + [1.0] * 10)
    predictions = np.array([0.2] * 10 + [0.7] * 10)
    assert metrics.calibration_error(labels, predictions) == pytest.approx(0.15)
    mixed = np.random.default_rng(1).permutation(20)
    assert metrics.calibration_error(labels[mixed], predictions[mixed]) == pytest.approx(0.15)


def test_the_calibration_error_of_true_probabilities_is_small() -> None:
    rng = np.random.default_rng(2)
    predictions = rng.beta(1, 3, 100_000)
    labels = (rng.random(100_000) < predictions).astype(float)
    assert metrics.calibration_error(labels, predictions) < 0.01
    assert metrics.calibration_error(labels, predictions**2) > 0.05


def test_counts_of_two_ranks_add_up_to_the_auc_of_all() -> None:
    labels, predictions = _sample(ties=False)
    labels32, predictions32 = labels.astype(np.float32), predictions.astype(np.float32)
    parts = [metrics.auc_counts(labels32[i::2], predictions32[i::2]) for i in (0, 1)]
    whole = metrics.auc_of_counts(parts[0] + parts[1])
    assert whole == pytest.approx(sk.roc_auc_score(labels, predictions), abs=1e-4)
    assert sum(part.sum() for part in parts) == 4000


def test_a_constant_prediction_has_auc_one_half() -> None:
    labels = np.array([0.0, 1.0, 1.0])
    found = metrics.all_metrics(labels, np.full(3, 0.6))
    assert found["auc"] == 0.5
    assert found["pr_auc"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("labels", [[], [0.0, 0.0], [1.0]])
def test_single_class_or_no_rows_is_an_error(labels: list[float]) -> None:
    with pytest.raises(GateError, match="metrics need both classes"):
        metrics.all_metrics(np.array(labels), np.full(len(labels), 0.5))


@pytest.mark.parametrize("bad", [float("nan"), 1.5, -0.1])
def test_prediction_outside_0_to_1_is_an_error(bad: float) -> None:
    with pytest.raises(GateError, match="not probabilities"):
        metrics.all_metrics(np.array([0.0, 1.0]), np.array([0.5, bad]))
