"""The problem types, as monitoring of performance sees them: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.declaration.ranking import Ranking
from nightjar.monitoring.performance.binary.problem import BinaryPerformance
from nightjar.monitoring.performance.forecast.problem import ForecastPerformance
from nightjar.monitoring.performance.multiclass.problem import MulticlassPerformance
from nightjar.monitoring.performance.problem import PerformanceProblem
from nightjar.monitoring.performance.ranking.problem import RankingPerformance
from nightjar.monitoring.performance.regression.problem import RegressionPerformance


def performance_problem(declared: Problem) -> PerformanceProblem:
    """Return how the performance of a declared problem is monitored."""
    return _TYPES[declared.kind](declared)


_TYPES: Mapping[str, Callable[[Any], PerformanceProblem]] = {
    Binary.kind: BinaryPerformance,
    Multiclass.kind: MulticlassPerformance,
    Regression.kind: RegressionPerformance,
    Forecast.kind: ForecastPerformance,
    Ranking.kind: RankingPerformance,
}
