"""Performance of forecasts: errors relative to the labels, from sums, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from tests.nightjar.monitoring.performance.problem_type_nights import numbers

from nightjar.declaration.forecast import Forecast
from nightjar.monitoring.performance.forecast.metrics import ONLY_ZEROS
from nightjar.monitoring.performance.forecast.problem import ForecastPerformance
from nightjar.monitoring.performance.problem import ScoredRows
from nightjar.monitoring.performance.registry import performance_problem

DECLARED = Forecast(unit="pieces", horizon=3, season=7, quantiles=(0.1, 0.5, 0.9))
PROBLEM = ForecastPerformance(DECLARED)


def sample(count: int, seed: int = 0) -> ScoredRows:
    return numbers(np.random.default_rng(seed), count, off=1.0)


def summarized(rows: ScoredRows, parts: int = 1) -> object:
    groups = np.arange(len(rows.labels)) % parts
    return PROBLEM.merge(list(PROBLEM.summarize(rows, groups).values()))


@pytest.mark.parametrize("parts", [1, 7])
def test_metrics_are_those_of_plain_numpy_for_any_parts(parts: int) -> None:
    rows = sample(3000)
    measured = PROBLEM.measure(summarized(rows, parts), confidence=0.95, baseline=None)
    label, size = rows.labels, np.abs(rows.labels).sum()
    errors = rows.columns["prediction"] - label
    pinball = [
        np.maximum(q * (label - rows.columns[name]), (q - 1) * (label - rows.columns[name])).sum()
        for name, q in zip(("q10", "q50", "q90"), DECLARED.quantiles, strict=True)
    ]
    expected = {
        "wape": np.abs(errors).sum() / size,
        "wql": 2 * np.mean(pinball) / size,
        "signed_bias": errors.sum() / size,
    }
    for metric, value in expected.items():
        interval = measured[metric].interval
        assert interval is not None
        assert interval.value == pytest.approx(value, rel=1e-9)
    assert performance_problem(DECLARED) == PROBLEM


def test_the_interval_covers_as_often_as_it_says() -> None:
    truth = _wape(sample(400_000, seed=99))
    found = [
        PROBLEM.measure(summarized(sample(500, seed)), confidence=0.9, baseline=None)["wape"] for seed in range(300)
    ]
    covered = [m.interval.low <= truth <= m.interval.high for m in found if m.interval]
    assert len(covered) == 300
    assert 0.85 < np.mean(covered) < 0.95


def _wape(rows: ScoredRows) -> float:
    return float(np.abs(rows.columns["prediction"] - rows.labels).sum() / np.abs(rows.labels).sum())


def test_labels_that_are_all_0_give_no_relative_error() -> None:
    rows = sample(20)
    zeros = ScoredRows(columns=rows.columns, labels=np.zeros(20), landed=rows.landed)
    measured = PROBLEM.measure(summarized(zeros), confidence=0.95, baseline=None)
    assert {name for name, m in measured.items() if m.reason == ONLY_ZEROS} == {"wape", "wql", "signed_bias"}
    assert measured["label_mean"].interval is not None
