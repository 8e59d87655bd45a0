"""Metrics of several classes equal scikit-learn's, over the classes that occur; decisions cost least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from tests.nightjar.problems.multiclass.samples import CLASSES, COST, PROBLEM, sample

from nightjar.declaration.problem import CostMatrix, Multiclass
from nightjar.problems.multiclass.metrics import cost_matrix, decide
from nightjar.problems.multiclass.problem import MulticlassProblem
from nightjar.protocol.errors import GateError

POSITIONS = range(len(CLASSES))


@given(seed=st.integers(0, 10_000), rows=st.integers(5, 200), decimals=st.sampled_from([1, 16]))
def test_metrics_match_scikit_learn(seed: int, rows: int, decimals: int) -> None:
    labels, probabilities = sample(rows, seed=seed)
    probabilities = probabilities.round(decimals) + 0.01
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels[: len(CLASSES)] = np.arange(len(CLASSES))
    measured = PROBLEM.measure(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    expected = {
        "log_loss": sk.log_loss(labels, probabilities, labels=POSITIONS),
        "accuracy": sk.accuracy_score(labels, predicted),
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "weighted_f1": sk.f1_score(labels, predicted, average="weighted"),
        "macro_auc": sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        "rows": rows,
    }
    for position, name in enumerate(CLASSES):
        expected[f"auc_{name}"] = sk.roc_auc_score(labels == position, probabilities[:, position])
        expected[f"rows_{name}"] = np.sum(labels == position)
        expected[f"recall_{name}"] = sk.recall_score(labels == position, predicted == position)
        if (predicted == position).any():
            expected[f"precision_{name}"] = sk.precision_score(labels == position, predicted == position)
    assert {name: measured.pop(name) for name in expected} == pytest.approx(expected, abs=1e-9)
    assert measured.keys() == {"expected_cost"}
    assert {*PROBLEM.declared.metrics} <= {*expected, "expected_cost"}


@given(seed=st.integers(0, 10_000), missing=st.sampled_from(POSITIONS))
def test_macro_metrics_are_over_the_classes_that_occur(seed: int, missing: int) -> None:
    labels, probabilities = sample(300, seed=seed)
    is_left = labels != missing
    labels, probabilities = labels[is_left], probabilities[is_left]
    measured = PROBLEM.measure(labels, probabilities)
    present = [position for position in POSITIONS if position != missing]
    predicted = probabilities.argmax(axis=1)
    assert measured["macro_f1"] == pytest.approx(sk.f1_score(labels, predicted, labels=present, average="macro"))
    assert measured["weighted_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="weighted", zero_division=0))
    aucs = [sk.roc_auc_score(labels == position, probabilities[:, position]) for position in present]
    assert measured["macro_auc"] == pytest.approx(np.mean(aucs), abs=1e-9)
    assert f"auc_{CLASSES[missing]}" not in measured
    assert measured[f"rows_{CLASSES[missing]}"] == 0


@given(seed=st.integers(0, 10_000), metric=st.sampled_from(["log_loss", "accuracy"]), cuts=st.sets(st.integers(0, 99)))
def test_sums_of_any_parts_add_up_to_the_metric_of_all_rows(seed: int, metric: str, cuts: set[int]) -> None:
    labels, probabilities = sample(100, seed=seed)
    parts = zip(np.split(labels, sorted(cuts)), np.split(probabilities, sorted(cuts)), strict=True)
    total = sum(PROBLEM.validation_sums(metric, *part) for part in parts)
    assert PROBLEM.validation_value(metric, total) == pytest.approx(
        PROBLEM.measure(labels, probabilities)[metric], abs=1e-12
    )


@given(
    seed=st.integers(0, 10_000),
    costs=st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=4, max_size=4),
)
def test_decision_has_the_lowest_expected_cost_and_is_the_first_on_ties(seed: int, costs: list[list[int]]) -> None:
    declared = Multiclass(
        classes=CLASSES,
        cost=CostMatrix(
            costs={CLASSES[t]: {CLASSES[d]: float(cost) for d, cost in enumerate(line)} for t, line in enumerate(costs)}
        ),
    )
    rng = np.random.default_rng(seed)
    eighths = rng.multinomial(8, [1 / 4] * 4, size=50)  # exact, so that ties occur
    labels = rng.integers(0, 4, 50).astype(float)
    decisions = MulticlassProblem(declared).columns(eighths / 8)["decision"].to_pylist()
    for probabilities, decision in zip(eighths, decisions, strict=True):
        expected = [sum(int(probabilities[t]) * costs[t][d] for t in POSITIONS) for d in POSITIONS]
        assert decision == CLASSES[expected.index(min(expected))]
    measured = MulticlassProblem(declared).measure(labels, eighths / 8)["expected_cost"]
    paid = [costs[int(true)][CLASSES.index(decision)] for true, decision in zip(labels, decisions, strict=True)]
    assert measured == pytest.approx(np.mean(paid), abs=1e-12)


def test_decision_of_a_row_is_independent_of_other_rows() -> None:
    _, probabilities = sample(500)
    costs = cost_matrix(PROBLEM.declared)
    whole = decide(probabilities, costs)
    for start, stop in ((0, 1), (17, 18), (100, 163), (499, 500)):
        np.testing.assert_array_equal(decide(probabilities[start:stop], costs), whole[start:stop])
    assert costs[0].tolist() == [0.0, *COST.costs["cancelled"].values()]


@pytest.mark.parametrize("labels", [[], [2.0], [1.0, 1.0]])
def test_fewer_than_two_classes_is_an_error(labels: list[float]) -> None:
    with pytest.raises(GateError, match=r"metrics need rows of at least two classes: [01] of 4 occur"):
        PROBLEM.measure(np.array(labels), np.full((len(labels), 4), 0.25))


@pytest.mark.parametrize(
    "row", [[0.5, 0.5, 0.5, 0.5], [1.5, -0.5, 0.0, 0.0], [np.nan, 0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]
)
def test_outputs_that_are_not_probabilities_are_an_error(row: list[float]) -> None:
    right = [1.0] + [0.0] * (len(row) - 1)
    with pytest.raises(GateError, match="predictions are not probabilities of 4 classes"):
        PROBLEM.measure(np.array([0.0, 1.0]), np.array([right, row]))
