"""Alarms by precision, recall and capacity: thresholds that do what is declared, on rows of all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.declaration.alarms import Alarms, Capacity, Precision, Recall
from nightjar.declaration.problem import Binary, Cost
from nightjar.problems.binary.metrics import decision_metrics, highest_of_groups
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import TrainingError


def over_two(array: Any) -> Any:
    """Sum over two ranks with the same rows."""
    return 2 * array


def rows(seed: int, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    predictions = np.round(random.beta(1, 3, count), 2)  # with ties
    labels = (random.random(count) < predictions).astype(float)
    labels[predictions.argmax()] = 1.0
    return labels, predictions


def threshold_of(alarms: Alarms, labels: np.ndarray, predictions: np.ndarray) -> float:
    threshold = problem_type(Binary(alarms=alarms)).fit_threshold(labels, predictions, over_two)
    assert threshold is not None
    return threshold


def other_thresholds(predictions: np.ndarray) -> np.ndarray:
    return np.unique(predictions)


@given(st.integers(0, 10_000), st.floats(0.02, 0.98))
def test_recall_is_reached_with_the_fewest_alarms(seed: int, at_least: float) -> None:
    labels, predictions = rows(seed)
    threshold = threshold_of(Recall(at_least), labels, predictions)
    alarm = predictions >= threshold
    assert decision_metrics(labels, alarm, None)["recall"] >= at_least
    fewer = other_thresholds(predictions[predictions >= threshold])[1:]
    assert all(decision_metrics(labels, predictions >= t, None)["recall"] < at_least for t in fewer)


@given(st.integers(0, 10_000), st.floats(0.02, 0.98))
def test_precision_is_reached_with_the_most_alarms(seed: int, at_least: float) -> None:
    labels, predictions = rows(seed)
    by_threshold = {t: decision_metrics(labels, predictions >= t, None)["precision"] for t in np.unique(predictions)}
    reached = [t for t, precision in by_threshold.items() if precision >= at_least]
    if not reached:
        with pytest.raises(TrainingError, match=r"no threshold has a precision of .* the highest is") as caught:
            threshold_of(Precision(at_least), labels, predictions)
        assert "ask for less" in caught.value.fix
        return
    threshold = threshold_of(Precision(at_least), labels, predictions)
    alarm = predictions >= threshold
    assert alarm.sum() == (predictions >= min(reached)).sum()


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_capacity_takes_the_highest_of_each_group_and_first_keys_of_ties(seed: int, capacity: int) -> None:
    random = np.random.default_rng(seed)
    predictions = np.round(random.random(90), 1)
    groups = np.sort(random.integers(0, 3, 90))
    groups = np.unique(groups, return_inverse=True)[1]
    alarm = highest_of_groups(predictions, groups, capacity)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        expected = sorted(members, key=lambda row: (-predictions[row], row))[:capacity]
        assert set(np.flatnonzero(alarm & (groups == group))) == set(expected)


def test_holdout_is_measured_with_so_many_alarms_a_day() -> None:
    problem = problem_type(Binary(alarms=Capacity(2), cost=Cost(missed=5, false_alarm=1)))
    days = [pa.table({"label": [1.0, 0.0, 1.0]}), pa.table({"label": [0.0, 0.0, 1.0]})]
    labels = np.concatenate([problem.encode_labels(day) for day in days])
    assert problem.count_labels(labels) == {"positives": 3}
    measured = problem.measure(labels, np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.3]))
    assert (measured["recall"], measured["precision"]) == (2 / 3, 2 / 4)  # alarms: rows 1, 2 and 4, 6
    assert measured["expected_cost"] == (5 + 2) / 6
    assert problem.columns(np.array([0.9]))["decision"].to_pylist() == [None], "known for whole nights only"
    assert problem.fit_threshold(labels, np.zeros(6), over_two) is None


def test_a_fitted_threshold_decides_instead_of_the_costs() -> None:
    declared = Binary(alarms=Recall(0.5), cost=Cost(missed=1, false_alarm=1))
    of_model = problem_type(declared, threshold=0.25)
    assert of_model.columns(np.array([0.2, 0.25, 0.7]))["decision"].to_pylist() == [False, True, True]
    by_costs = problem_type(Binary(cost=declared.cost))
    assert by_costs.columns(np.array([0.2, 0.25, 0.7]))["decision"].to_pylist() == [False, False, True]
    measured = of_model.measure(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.25, 0.7]))
    assert (measured["recall"], measured["expected_cost"]) == (1.0, 0.0)
    assert set(declared.metrics) == {*Binary().metrics, "expected_cost", "recall", "precision"}
    assert set(Binary(alarms=Recall(0.5)).metrics) == {*Binary().metrics, "recall", "precision"}
