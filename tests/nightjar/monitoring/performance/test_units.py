"""Intervals clustered by unit: right values, wide enough for rows that belong together, and exact over nights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.declaration.alarms import Recall
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import Binary, Cost, CostMatrix, Multiclass, Problem, Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.monitoring.performance.problem import ScoredRows
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.units import (
    BUCKETS,
    describe_clusters,
    dump_units,
    measure_clustered,
    merge_units,
    read_units,
)

BINARY = Binary(cost=Cost(missed=5, false_alarm=1), alarms=Recall(0.5))
CLASSES = Multiclass(classes=("a", "b", "c"), cost=CostMatrix(costs={"a": {"b": 2.0}, "c": {"a": 3.0}}))
NUMBER = Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5, 0.9), cost=QuantileCost(under=3, over=1))
FORECAST = Forecast(unit="units", horizon=2, season=7)
PROBLEMS: list[Problem] = [BINARY, CLASSES, NUMBER, FORECAST]
BASELINES: dict[str, dict[str, float]] = {
    "binary": {"rate": 0.3},
    "multiclass": {"a": 0.5, "b": 0.3, "c": 0.2},
    "regression": {"mean": 5.0, "median": 5.0, "decision": 6.0, "q10": 1.0, "q50": 5.0, "q90": 9.0},
    "forecast": {"mean": 5.0, "median": 5.0, "q10": 1.0, "q50": 5.0, "q90": 9.0},
}


def rows_of(problem: Problem, random: np.random.Generator, units: np.ndarray, *, together: float) -> ScoredRows:
    """Rows whose labels move by an effect of their unit with the standard deviation ``together``."""
    count = len(units)
    effect = random.normal(0, together, BUCKETS * 100)[units]
    landed = np.ones(count, bool)
    if problem.kind == "binary":
        p = random.beta(2, 4, count)
        odds = p / (1 - p) * np.exp(effect)
        labels = (random.random(count) < odds / (1 + odds)).astype(float)
        return ScoredRows(columns={"prediction": p, "decision": (p > 0.4).astype(float)}, labels=labels, landed=landed)
    if problem.kind == "multiclass":
        p = random.dirichlet((2, 2, 2), count)
        labels = np.clip(np.rint(1 + effect + random.normal(0, 1, count)), 0, 2)
        names = performance_problem(problem).score_columns
        columns = {name: p[:, min(place, 2)] for place, name in enumerate(names)}
        columns |= {"prediction": p.argmax(axis=1).astype(float), "decision": p.argmin(axis=1).astype(float)}
        return ScoredRows(columns={name: columns[name] for name in names}, labels=labels, landed=landed)
    p = random.gamma(3, 2, count)
    columns = {"prediction": p, "q10": p - 3, "q50": p, "q90": p + 3, "decision": p + 1}
    names = performance_problem(problem).score_columns
    constants = {name: np.full(count, value) for name, value in BASELINES[problem.kind].items()}
    return ScoredRows(
        columns={name: columns.get(name, np.full(count, np.nan)) for name in names},
        labels=p + effect + random.normal(0, 2, count),
        landed=landed,
        baseline=constants,
    )


def by_bucket(problem: Any, rows: ScoredRows, units: np.ndarray) -> dict[int, Any]:
    return {bucket: problem.reduce(of) for bucket, of in problem.summarize(rows, units % BUCKETS).items()}


@pytest.mark.parametrize("declared", PROBLEMS, ids=lambda declared: declared.kind)
def test_values_and_differences_are_those_of_independent_rows(declared: Problem) -> None:
    """Each row is a unit of its own: values are equal, and intervals nearly, as fifty buckets allow."""
    problem, random = performance_problem(declared), np.random.default_rng(5)
    units = random.permutation(4000) % (BUCKETS * 100)
    rows = rows_of(declared, random, units, together=0.0)
    summary = problem.summarize(rows, np.zeros(len(units), np.int64))[0]
    baseline = BASELINES[declared.kind]
    plain = problem.measure(summary, confidence=0.95, baseline=baseline)
    clustered = measure_clustered(problem, summary, by_bucket(problem, rows, units), confidence=0.95, baseline=baseline)
    assert clustered.keys() == plain.keys()
    ratios = problem.ratios(summary, baseline)
    assert set(plain) - set(ratios) == set(problem.without_ratio)
    for metric, found in clustered.items():
        expected = plain[metric]
        assert found.interval is not None
        assert expected.interval is not None
        assert found.interval.value == pytest.approx(expected.interval.value, rel=1e-9)
        assert found.baseline == expected.baseline
        width = expected.interval.high - expected.interval.low
        assert found.interval.high - found.interval.low == pytest.approx(width, rel=0.45), metric
        if expected.excess is not None:
            assert found.excess is not None
            assert found.excess.value == pytest.approx(expected.excess.value, rel=1e-6, abs=1e-12)
            width = expected.excess.high - expected.excess.low
            assert found.excess.high - found.excess.low == pytest.approx(width, rel=0.45), metric


@pytest.mark.parametrize(("declared", "metric"), [(NUMBER, "bias"), (BINARY, "label_rate"), (CLASSES, "accuracy")])
def test_intervals_hold_the_truth_where_rows_belong_together(declared: Problem, metric: str) -> None:
    """Units of twenty rows with an effect of their own: 95 % intervals hold the truth as often as they say."""
    problem, random = performance_problem(declared), np.random.default_rng(11)
    truth_rows = rows_of(declared, random, np.repeat(np.arange(5000), 40), together=1.5)
    zeros = np.zeros(len(truth_rows.labels), np.int64)
    truth = problem.measure(problem.summarize(truth_rows, zeros)[0], confidence=0.95, baseline=None)[metric].interval
    assert truth is not None
    hits = {"clustered": 0, "by rows": 0}
    for _ in range(200):
        units = np.repeat(random.choice(5000, 100, replace=False), 20)
        rows = rows_of(declared, random, units, together=1.5)
        summary = problem.summarize(rows, np.zeros(len(units), np.int64))[0]
        intervals = {
            "clustered": measure_clustered(
                problem, summary, by_bucket(problem, rows, units), confidence=0.95, baseline=None
            )[metric].interval,
            "by rows": problem.measure(summary, confidence=0.95, baseline=None)[metric].interval,
        }
        for name, interval in intervals.items():
            assert interval is not None
            hits[name] += interval.low <= truth.value <= interval.high
    assert 0.89 <= hits["clustered"] / 200 <= 0.995
    if metric != "accuracy":  # predictions are random: whether they are right does not depend on the unit
        assert hits["by rows"] / 200 < 0.8


@given(st.integers(0, 1000), st.integers(1, 5))
def test_buckets_of_nights_add_up_exactly_in_any_order(seed: int, nights: int) -> None:
    problem, random = performance_problem(NUMBER), np.random.default_rng(seed)
    parts = []
    for _ in range(nights):
        units = random.integers(0, 200, 30)
        parts.append(by_bucket(problem, rows_of(NUMBER, random, units, together=1.0), units))
    merged = merge_units(problem, parts)
    assert dump_units(merge_units(problem, parts[::-1])) == dump_units(merged)
    assert dump_units(read_units(problem, dump_units(merged))) == dump_units(merged)


def test_a_single_unit_gives_no_certainty() -> None:
    problem, random = performance_problem(NUMBER), np.random.default_rng(1)
    units = np.zeros(50, np.int64)
    rows = rows_of(NUMBER, random, units, together=1.0)
    summary = problem.summarize(rows, units)[0]
    found = measure_clustered(problem, summary, by_bucket(problem, rows, units), confidence=0.95, baseline=None)
    interval = found["mae"].interval
    assert interval is not None
    assert (interval.low, interval.high) == (0.0, math.inf)


def test_the_page_says_which_intervals_are_clustered() -> None:
    text = describe_clusters(performance_problem(BINARY), "customer_id")
    assert text.startswith("Intervals are clustered by customer_id")
    assert "Those of AUC and PR-AUC and calibration error are by rows" in text
    assert describe_clusters(performance_problem(NUMBER), "shop") == (
        "Intervals are clustered by shop, whose rows are not independent."
    )
