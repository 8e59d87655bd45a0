"""Labels, weights, objective and columns of several classes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.nightjar.problems.multiclass.samples import CLASSES, PROBLEM, sample
from tests.ranks import alone, on_ranks

from nightjar.declaration.problem import Multiclass
from nightjar.problems.multiclass.problem import MulticlassProblem
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import GateError

NAMES = pa.array(["late", "early", "late", "cancelled"])


@pytest.mark.parametrize(
    "column",
    [NAMES, pa.chunked_array([NAMES[:1], NAMES[1:]]), NAMES.cast(pa.large_string()), NAMES.dictionary_encode()],
)
def test_labels_are_positions_of_classes(column: pa.Array) -> None:
    assert PROBLEM.encode_labels(pa.table({"label": column})).tolist() == [1.0, 3.0, 1.0, 0.0]


def test_unknown_class_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(GateError, match=r"2 of 3 labels are not declared classes.*cancelled, late, on_time, early"):
        PROBLEM.encode_labels(pa.table({"label": ["late", "LATE", "diverted"]}))


def test_counts_of_classes_match_their_conditions() -> None:
    import duckdb

    rows = duckdb.from_arrow(pa.table({"label": ["late", "early", "late", "it's", None]}))
    valid = rows.filter(PROBLEM.valid_label).to_arrow_table()["label"]
    assert valid.to_pylist() == ["late", "early", "late"]
    counts = PROBLEM.count_labels(PROBLEM.encode_labels(pa.table({"label": valid})))
    assert counts == {"rows_cancelled": 0, "rows_late": 2, "rows_on_time": 0, "rows_early": 1}
    for group, condition in PROBLEM.label_counts.items():
        assert len(rows.filter(condition).fetchall()) == counts[group]


def counts_of(**rows: int) -> dict[str, int]:
    return {f"rows_{name}": rows.get(name, 0) for name in CLASSES}


def test_training_needs_each_class_and_measuring_two() -> None:
    all_classes = counts_of(cancelled=1, late=1, on_time=5, early=1)
    assert PROBLEM.obstacle_to_training(8, all_classes) == ""
    two, one = counts_of(late=3, on_time=5), counts_of(late=3)
    assert PROBLEM.obstacle_to_training(8, two) == "classes without a label: cancelled, early, among 8 labels"
    assert PROBLEM.obstacle_to_measuring(8, two) == ""
    assert PROBLEM.obstacle_to_measuring(3, one) == "fewer than two classes: 3 labels are late"
    assert PROBLEM.obstacle_to_measuring(0, counts_of()) == "fewer than two classes: 0 labels are none"


def test_training_watches_the_decisive_metric_if_sums_give_it() -> None:
    for decisive, watched in {"accuracy": "accuracy", "log_loss": "log_loss", "macro_f1": "log_loss"}.items():
        assert PROBLEM.validation_metric(decisive).name == watched
    assert PROBLEM.validation_metric("expected_cost").lower_is_better


def test_xgboost_trains_with_the_parameters_into_probabilities() -> None:
    import xgboost

    labels, probabilities = sample(200)
    booster = xgboost.train(PROBLEM.boosting_params(), xgboost.DMatrix(probabilities, labels), num_boost_round=2)
    outputs = booster.predict(xgboost.DMatrix(probabilities))
    assert outputs.shape == (200, 4)
    assert PROBLEM.measure(labels, outputs)["accuracy"] > 0.5


def test_weights_favour_the_members_that_are_right_on_any_number_of_ranks() -> None:
    labels, right = sample(2000)
    uniform = np.full_like(right, 0.25)
    wrong = np.roll(right, 1, axis=1)
    weights = PROBLEM.fit_weights(labels, [wrong, right, uniform], alone)
    assert weights == (0.0, 1.0, 0.0)
    parts = [(labels[i::3], [wrong[i::3], right[i::3], uniform[i::3]]) for i in range(3)]
    assert on_ranks(lambda part, total: PROBLEM.fit_weights(part[0], part[1], total), parts) == weights
    assert PROBLEM.fit_weights(labels, [wrong], alone) == (1.0,)
    np.testing.assert_allclose(PROBLEM.blend([wrong, right], (0.25, 0.75)), 0.25 * wrong + 0.75 * right)
    assert PROBLEM.blend([right], (1.0,)) is right


def test_columns_are_those_of_the_declaration() -> None:
    outputs = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.4, 0.1, 0.1]])
    columns = PROBLEM.columns(outputs)
    assert columns["prediction"].to_pylist() == ["early", "cancelled"]  # the first on ties
    assert columns["p_on_time"].to_pylist() == [0.3, 0.1]
    declared = (*PROBLEM.declared.prediction_columns("State."), *PROBLEM.declared.decision_columns)
    assert {column.name: column.type for column in declared} == {name: str(c.type) for name, c in columns.items()}


def test_decision_without_costs_is_null() -> None:
    problem = problem_type(Multiclass(classes=CLASSES))
    assert isinstance(problem, MulticlassProblem)
    decision = problem.columns(sample(3)[1])["decision"]
    assert (decision.type, decision.null_count) == (pa.string(), 3)
    assert "expected_cost" not in problem.measure(*sample(100))
