"""The performance of regressions: exact, additive, and equal to scikit-learn's metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, root_mean_squared_error

from nightjar.declaration.problem import Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.monitoring.performance.exact_sums import SCALE, sums_of_groups
from nightjar.monitoring.performance.problem import NO_DECISION, NO_LABELS, LabelGroup, ScoredRows
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.regression.deciles import GROUPS, group_rows
from nightjar.monitoring.performance.regression.problem import NO_ESTIMATE
from nightjar.monitoring.performance.regression.summary import Summary, bin_of, merge

QUANTILES = (0.1, 0.5, 0.9)
DECLARED = Regression(unit="min", loss="quantile", quantiles=QUANTILES, cost=QuantileCost(under=3, over=1))
PROBLEM = performance_problem(DECLARED)
BASELINE = {"mean": 13.0, "median": 11.0, "q10": 2.0, "q50": 11.0, "q90": 30.0, "decision": 18.0}
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
ROWS = st.lists(st.tuples(NUMBERS, st.none() | NUMBERS, st.booleans(), st.booleans()), min_size=1, max_size=40)


def rows_of(
    predictions: Any, labels: Any, *, low: float = -5.0, high: float = 9.0, baseline: Any = BASELINE
) -> ScoredRows:
    """Rows whose quantiles lie ``low`` and ``high`` away from the prediction, and that are decided 4 above it."""
    values, label = np.asarray(predictions, float), np.asarray(labels, float)
    return ScoredRows(
        columns={
            "prediction": values,
            "q10": values + low,
            "q50": values,
            "q90": values + high,
            "decision": values + 4,
        },
        labels=label,
        landed=np.ones(len(values), bool),
        baseline={name: np.full(len(values), constant) for name, constant in baseline.items()},
    )


def part(rows: ScoredRows, chosen: Any) -> ScoredRows:
    return ScoredRows(
        columns={name: values[chosen] for name, values in rows.columns.items()},
        labels=rows.labels[chosen],
        landed=rows.landed[chosen],
        baseline={name: values[chosen] for name, values in rows.baseline.items()},
    )


def table(rows: list[tuple[Any, ...]]) -> ScoredRows:
    predictions, labels, decided, known = (np.array(column, object) for column in zip(*rows, strict=True))
    made = rows_of(predictions.astype(float), labels.astype(float))
    decisions = np.where(decided.astype(bool), made.columns["decision"], np.nan)
    baseline = {name: np.where(known.astype(bool), values, np.nan) for name, values in made.baseline.items()}
    return replace(made, columns={**made.columns, "decision": decisions}, baseline=baseline)


def summarize(rows: ScoredRows) -> Any:
    return PROBLEM.summarize(rows, np.zeros(len(rows.labels), np.int64)).get(0, PROBLEM.merge([]))


def draw(count: int, *, seed: int = 1) -> ScoredRows:
    random = np.random.default_rng(seed)
    predictions = random.gamma(2.0, 6.0, count)
    return rows_of(predictions, predictions + random.normal(1.0, 7.0, count))


@given(ROWS, st.data())
def test_parts_in_any_order_add_up_to_the_whole_to_the_bit(rows: list[tuple[Any, ...]], data: Any) -> None:
    whole = table(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    parts = [summarize(part(whole, chosen)) for chosen in np.split(order, cuts)]
    assert merge(parts) == summarize(whole)
    assert merge([merge(parts[:1]), *parts[1:][::-1]]) == summarize(whole)
    assert Summary.from_json(summarize(whole).to_json()) == summarize(whole)


@given(ROWS, st.data())
def test_groups_equal_the_summaries_of_each_group_alone(rows: list[tuple[Any, ...]], data: Any) -> None:
    whole = table(rows)
    codes = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))))
    found = PROBLEM.summarize(whole, codes)
    assert found == {int(code): summarize(part(whole, codes == code)) for code in np.unique(codes)}


@given(st.lists(st.floats(-1e60, 1e60), min_size=1, max_size=30))
def test_sums_are_exact_for_numbers_of_any_size(values: list[float]) -> None:
    ((found,),) = sums_of_groups(np.array(values)[:, None], np.array([0]))
    assert found == sum(round(value * float(SCALE)) for value in values)


def test_metrics_equal_those_of_scikit_learn() -> None:
    rows = draw(5000)
    labels, predictions, scores = rows.labels, rows.columns["prediction"], rows.columns
    found = PROBLEM.measure(summarize(rows), confidence=0.95, baseline=None)
    decisions = predictions + 4
    exact = {
        "mae": mean_absolute_error(labels, predictions),
        "rmse": root_mean_squared_error(labels, predictions),
        "bias": (predictions - labels).mean(),
        "pinball": np.mean([mean_pinball_loss(labels, scores[f"q{100 * q:g}"], alpha=q) for q in QUANTILES]),
        "coverage": ((scores["q10"] <= labels) & (labels <= scores["q90"])).mean(),
        "expected_cost": np.where(labels > decisions, 3 * (labels - decisions), decisions - labels).mean(),
        "label_mean": labels.mean(),
    }
    assert {name: measured.interval.value for name, measured in found.items() if measured.interval} == pytest.approx(
        exact, abs=1e-9
    )
    assert tuple(found) == tuple(PROBLEM.words) == tuple(exact)
    baselines = {
        "mae": mean_absolute_error(labels, np.full(5000, 11.0)),
        "rmse": root_mean_squared_error(labels, np.full(5000, 13.0)),
        "bias": 13.0 - labels.mean(),
        "pinball": np.mean(
            [mean_pinball_loss(labels, np.full(5000, BASELINE[f"q{100 * q:g}"]), alpha=q) for q in QUANTILES]
        ),
        "coverage": ((labels >= 2.0) & (labels <= 30.0)).mean(),
        "expected_cost": np.where(labels > 18, 3 * (labels - 18), 18 - labels).mean(),
        "label_mean": 13.0,
    }
    assert {name: measured.baseline for name, measured in found.items()} == pytest.approx(baselines, abs=1e-9)


def test_the_difference_from_the_baseline_is_that_of_the_rows() -> None:
    rows = draw(800)
    found = PROBLEM.measure(summarize(rows), confidence=0.95, baseline=None)
    labels, predictions = rows.labels, rows.columns["prediction"]
    less = np.abs(predictions - labels) - np.abs(11.0 - labels)
    excess, half = found["mae"].excess, 1.959964 * less.std(ddof=1) / math.sqrt(800)
    assert excess is not None
    assert (excess.value, excess.low, excess.high) == pytest.approx(
        (less.mean(), less.mean() - half, less.mean() + half), abs=1e-6
    )
    rmse = found["rmse"]
    assert rmse.interval is not None
    assert rmse.baseline is not None
    assert rmse.excess is not None
    assert rmse.excess.value == pytest.approx(rmse.interval.value - rmse.baseline)
    assert rmse.excess.low < rmse.excess.value < rmse.excess.high


def test_intervals_contain_the_truth_about_as_often_as_declared() -> None:
    truth = {
        name: measured.interval
        for name, measured in PROBLEM.measure(summarize(draw(400_000)), confidence=0.95, baseline=None).items()
    }
    hits, runs = dict.fromkeys(truth, 0), 300
    for seed in range(runs):
        for name, measured in PROBLEM.measure(
            summarize(draw(500, seed=seed + 2)), confidence=0.95, baseline=None
        ).items():
            true = truth[name]
            assert measured.interval is not None
            assert true is not None
            hits[name] += measured.interval.low <= true.value <= measured.interval.high
    assert all(0.91 <= count / runs <= 0.99 for count in hits.values()), hits


def test_what_cannot_be_measured_has_a_reason() -> None:
    none = PROBLEM.measure(summarize(rows_of([1.0], [math.nan])), confidence=0.95, baseline=None)
    assert {measured.reason for measured in none.values()} == {NO_LABELS}
    rows = rows_of([1.0, 2.0], [2.0, 4.0], baseline={})
    undecided = replace(rows, columns={**rows.columns, "decision": np.full(2, np.nan)})
    measured = PROBLEM.measure(summarize(undecided), confidence=0.95, baseline=None)
    assert measured["expected_cost"].reason == NO_DECISION
    assert all(found.baseline is None and found.excess is None for found in measured.values())
    single = PROBLEM.measure(summarize(rows_of([1.0], [2.0])), confidence=0.95, baseline=None)["mae"]
    assert single.interval is not None
    assert (single.interval.value, single.interval.low, single.interval.high) == (1.0, 0.0, math.inf)
    right = PROBLEM.measure(summarize(rows_of([11.0, 11.0], [11.0, 11.0])), confidence=0.95, baseline=None)["rmse"]
    assert right.interval is not None
    assert right.interval.value == 0.0
    assert PROBLEM.estimate(summarize(rows), confidence=0.95) == {}
    assert PROBLEM.no_estimate == NO_ESTIMATE


def test_metrics_of_quantiles_and_costs_need_their_declaration() -> None:
    plain = performance_problem(Regression(unit="USD"))
    assert tuple(plain.words) == ("mae", "rmse", "bias", "label_mean")
    assert tuple(plain.compared) == ("mae", "rmse")
    median = performance_problem(Regression(unit="USD", loss="quantile", quantiles=(0.5,)))
    assert "coverage" not in median.words
    assert "pinball" in median.words


def test_the_baseline_is_mean_and_quantiles_of_the_labels() -> None:
    groups = [
        LabelGroup(group=5.0, rows=2, total=Decimal("2.5")),
        LabelGroup(group=-3.0, rows=1, total=Decimal(-8)),
        LabelGroup(group=7.0, rows=1, total=Decimal(40)),
        LabelGroup(group=5.0, rows=1, total=Decimal("1.25")),
    ]
    assert PROBLEM.baseline(groups) == {
        "mean": 7.15, "median": 1.25, "q10": -8.0, "q50": 1.25, "q90": 40.0, "decision": 1.25,
    }  # fmt: skip


def test_bins_ascend_with_the_prediction_and_are_narrow() -> None:
    values = np.sort(np.concatenate([np.random.default_rng(1).normal(0, 50, 5000), [0.0, -1e-300, 1e300, -1e300]]))
    bins = bin_of(values)
    assert (np.diff(bins) >= 0).all()
    assert bin_of(np.array([0.0, -0.0])).tolist() == [0, 0]
    positive = values[values > 0]
    for place in np.unique(bins[values > 0]):
        inside = positive[bins[values > 0] == place]
        assert inside.max() / inside.min() <= 1 + 1 / 64


def test_deciles_hold_all_labelled_rows_in_order() -> None:
    rows = draw(2003)
    rows = replace(rows, labels=np.where(np.arange(2003) % 10 == 0, np.nan, rows.labels))
    groups = group_rows(summarize(rows), 0.95)
    labelled = ~np.isnan(rows.labels)
    assert len(groups) == GROUPS
    assert sum(group.rows for group in groups) == labelled.sum()
    assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)
    assert sum(group.rows * group.predicted for group in groups) == pytest.approx(
        rows.columns["prediction"][labelled].sum()
    )
    assert sum(group.rows * group.observed.value for group in groups) == pytest.approx(rows.labels[labelled].sum())
    assert group_rows(PROBLEM.merge([]), 0.95) == []


def test_findings_and_bounds_turn_with_the_direction() -> None:
    monitored = PROBLEM.monitored
    assert (monitored.name, monitored.bound_name, monitored.worse_side) == ("mae", "ceiling", "above")
    assert monitored.is_worse(12.0, 11.0)
    assert not monitored.is_worse(10.0, 11.0)
    assert monitored.severity(22.0, 11.0) == 2.0
