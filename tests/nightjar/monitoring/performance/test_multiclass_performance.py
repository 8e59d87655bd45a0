"""The performance of predictions of one of several classes: exact, additive, and equal to scikit-learn's metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from nightjar.declaration.problem import CostMatrix, Multiclass
from nightjar.monitoring.performance.multiclass.summary import Summary, merge
from nightjar.monitoring.performance.problem import NO_DECISION, NO_LABELS, LabelGroup, ScoredRows
from nightjar.monitoring.performance.registry import performance_problem

CLASSES = ("early", "late", "cancelled")
COSTS = {"late": {"early": 5.0, "cancelled": 2.0}, "cancelled": {"early": 20.0, "late": 8.0}, "early": {"late": 1.0}}
MATRIX = np.array([[0, 1, 0], [5, 0, 2], [20, 8, 0]], float)
PROBLEM = performance_problem(Multiclass(classes=CLASSES, cost=CostMatrix(costs=COSTS)))
BASELINE = {"early": 0.6, "late": 0.3, "cancelled": 0.1}
ROW = st.tuples(
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.sampled_from([0, 1, 2, None]), st.booleans()
)  # fmt: skip


def rows_of(probabilities: Any, labels: Any) -> ScoredRows:
    """Rows that predict the most probable class, and decide for the class of the lowest expected cost."""
    p = np.asarray(probabilities, float)
    return ScoredRows(
        columns={
            **{f"p_{name}": p[:, i] for i, name in enumerate(CLASSES)},
            "prediction": p.argmax(axis=1).astype(float),
            "decision": (p @ MATRIX).argmin(axis=1).astype(float),
        },
        labels=np.asarray(labels, float),
        landed=np.ones(len(p), bool),
    )


def part(rows: ScoredRows, chosen: Any) -> ScoredRows:
    columns = {name: values[chosen] for name, values in rows.columns.items()}
    return ScoredRows(columns=columns, labels=rows.labels[chosen], landed=rows.landed[chosen])


def table(rows: list[tuple[Any, ...]]) -> ScoredRows:
    weights = np.array([row[0] for row in rows])
    made = rows_of(weights / weights.sum(axis=1, keepdims=True), np.array([row[1] for row in rows], float))
    decided = np.array([row[2] for row in rows])
    return replace(made, columns={**made.columns, "decision": np.where(decided, made.columns["decision"], np.nan)})


def summarize(rows: ScoredRows) -> Any:
    return PROBLEM.summarize(rows, np.zeros(len(rows.labels), np.int64)).get(0, PROBLEM.merge([]))


def draw(count: int, *, seed: int = 1) -> ScoredRows:
    """Calibrated rows: each label is drawn from the row's probabilities."""
    random = np.random.default_rng(seed)
    odds = np.exp(random.normal([1.0, 0.3, -0.8], 1.0, (count, 3)))
    p = odds / odds.sum(axis=1, keepdims=True)
    return rows_of(p, (random.random((count, 1)) > p.cumsum(axis=1)[:, :2]).sum(axis=1))


def probabilities(rows: ScoredRows) -> np.ndarray:
    return np.stack([rows.columns[f"p_{name}"] for name in CLASSES], axis=1)


@given(st.lists(ROW, min_size=1, max_size=30), st.data())
def test_parts_in_any_order_add_up_to_the_whole_to_the_bit(rows: list[tuple[Any, ...]], data: Any) -> None:
    whole = table(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    parts = [summarize(part(whole, chosen)) for chosen in np.split(order, cuts)]
    assert merge(parts, 3) == summarize(whole)
    assert merge([merge(parts[:1], 3), *parts[1:][::-1]], 3) == summarize(whole)
    assert Summary.from_json(summarize(whole).to_json()) == summarize(whole)


@given(st.lists(ROW, min_size=1, max_size=30), st.data())
def test_groups_equal_the_summaries_of_each_group_alone(rows: list[tuple[Any, ...]], data: Any) -> None:
    whole = table(rows)
    codes = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))))
    found = PROBLEM.summarize(whole, codes)
    assert found == {int(code): summarize(part(whole, codes == code)) for code in np.unique(codes)}


def test_metrics_equal_those_of_scikit_learn() -> None:
    rows = draw(4000)
    labels, predicted = rows.labels, rows.columns["prediction"]
    found = PROBLEM.measure(summarize(rows), confidence=0.95, baseline=BASELINE)
    recalls = metrics.recall_score(labels, predicted, average=None)
    precisions = metrics.precision_score(labels, predicted, average=None)
    decided = rows.columns["decision"].astype(int)
    exact = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "log_loss": metrics.log_loss(labels, probabilities(rows)),
        "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
        "expected_cost": MATRIX[labels.astype(int), decided].mean(),
        **{f"recall_{name}": recalls[i] for i, name in enumerate(CLASSES)},
        **{f"precision_{name}": precisions[i] for i, name in enumerate(CLASSES)},
        **{f"share_{name}": (labels == i).mean() for i, name in enumerate(CLASSES)},
    }
    assert {name: measured.interval.value for name, measured in found.items() if measured.interval} == pytest.approx(
        exact, abs=1e-9
    )
    assert tuple(found) == tuple(PROBLEM.words) == tuple(exact)
    constant = np.tile([0.6, 0.3, 0.1], (4000, 1))
    assert found["accuracy"].baseline == pytest.approx((labels == 0).mean())
    assert found["log_loss"].baseline == pytest.approx(metrics.log_loss(labels, constant), abs=1e-9)
    assert found["macro_f1"].baseline == pytest.approx(
        metrics.f1_score(labels, np.zeros(4000), average="macro", zero_division=0), abs=1e-9
    )
    assert found["expected_cost"].baseline == pytest.approx(MATRIX[labels.astype(int), 2].mean())
    assert found["share_late"].baseline == 0.3


def test_the_difference_from_the_baseline_is_that_of_the_rows() -> None:
    rows = draw(700)
    found = PROBLEM.measure(summarize(rows), confidence=0.95, baseline=BASELINE)
    labels, places = rows.labels, rows.labels.astype(int)
    losses = -np.log(probabilities(rows)[np.arange(700), places]) + np.log(np.array([0.6, 0.3, 0.1])[places])
    right = (rows.columns["prediction"] == labels).astype(float) - (labels == 0)
    costs = MATRIX[places, rows.columns["decision"].astype(int)] - MATRIX[places, 2]
    for metric, less in (("log_loss", losses), ("accuracy", right), ("expected_cost", costs)):
        excess, half = found[metric].excess, 1.959964 * less.std(ddof=1) / math.sqrt(700)
        assert excess is not None
        assert (excess.value, excess.low, excess.high) == pytest.approx(
            (less.mean(), less.mean() - half, less.mean() + half), abs=1e-6
        )


def test_intervals_and_estimates_contain_the_truth_about_as_often_as_declared() -> None:
    truth = PROBLEM.measure(summarize(draw(300_000)), confidence=0.95, baseline=None)
    hits, told, runs = dict.fromkeys(truth, 0), dict.fromkeys(PROBLEM.words, 0), 300
    for seed in range(runs):
        summary = summarize(draw(600, seed=seed + 2))
        estimated = PROBLEM.estimate(summary, confidence=0.95)
        for name, measured in PROBLEM.measure(summary, confidence=0.95, baseline=None).items():
            true, interval = truth[name].interval, measured.interval
            assert true is not None
            assert interval is not None
            hits[name] += interval.low <= true.value <= interval.high
            if name in estimated:
                told[name] += estimated[name].low <= interval.value <= estimated[name].high
    assert all(0.91 <= count / runs <= 0.99 for count in hits.values()), hits
    estimates = {name: told[name] for name in ("accuracy", "log_loss", "expected_cost", "share_late")}
    assert all(0.91 <= count / runs <= 0.99 for count in estimates.values()), estimates


def test_classes_that_do_not_occur_are_left_out_of_the_mean_and_have_a_reason() -> None:
    rows = rows_of([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], [0, 1, 1])
    found = PROBLEM.measure(summarize(rows), confidence=0.95, baseline=None)
    assert found["recall_cancelled"].reason == "no label is cancelled"
    assert found["precision_cancelled"].reason == "no prediction is cancelled"
    assert found["macro_f1"].interval is not None
    assert found["macro_f1"].interval.value == pytest.approx(
        metrics.f1_score([0, 1, 1], [0, 1, 0], average="macro", labels=[0, 1])
    )
    none = PROBLEM.measure(summarize(rows_of([[0.2, 0.3, 0.5]], [math.nan])), confidence=0.95, baseline=BASELINE)
    assert {measured.reason for measured in none.values()} == {NO_LABELS}
    undecided = replace(rows, columns={**rows.columns, "decision": np.full(3, np.nan)})
    assert PROBLEM.measure(summarize(undecided), confidence=0.95, baseline=BASELINE)["expected_cost"].reason == (
        NO_DECISION
    )
    assert "expected_cost" not in PROBLEM.estimate(summarize(undecided), confidence=0.95)
    assert PROBLEM.estimate(PROBLEM.merge([]), confidence=0.95) == {}


def test_the_baseline_is_the_share_of_each_class() -> None:
    groups = [LabelGroup(group=group, rows=rows, total=Decimal(0)) for group, rows in ((0.0, 6), (1.0, 3), (0.0, 1))]
    assert PROBLEM.baseline(groups) == {"early": 0.7, "late": 0.3, "cancelled": 0.0}


def test_the_holdout_has_recall_precision_and_share_of_each_class() -> None:
    metrics_of_gate = {
        "holdout_accuracy": 0.8, "holdout_auc_late": 0.9, "holdout_rows": 100.0, "holdout_rows_early": 60.0,
        "holdout_rows_late": 40.0, "holdout_rows_cancelled": 0.0, "holdout_recall_early": 50 / 60,
        "holdout_recall_late": 0.75, "holdout_precision_early": 50 / 55, "holdout_precision_late": 0.75,
        "holdout_precision_cancelled": 0.0,
    }  # fmt: skip
    assert PROBLEM.holdout_metrics(metrics_of_gate, "holdout_") == pytest.approx({
        "accuracy": 0.8, "share_early": 0.6, "share_late": 0.4, "share_cancelled": 0.0, "recall_early": 50 / 60,
        "recall_late": 0.75, "precision_early": 50 / 55, "precision_late": 0.75, "precision_cancelled": 0.0,
    })  # fmt: skip
    assert PROBLEM.holdout_metrics({"champion_holdout_accuracy": 0.7}, "champion_holdout_") == {"accuracy": 0.7}
