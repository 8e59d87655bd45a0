"""The problem types: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.declaration.ranking import Ranking
from nightjar.problems.binary.problem import BinaryProblem
from nightjar.problems.forecast.problem import ForecastProblem
from nightjar.problems.multiclass.problem import MulticlassProblem
from nightjar.problems.problem_type import ProblemType
from nightjar.problems.ranking.problem import RankingProblem
from nightjar.problems.regression.problem import RegressionProblem


def problem_type(declared: Problem, threshold: float | None = None) -> ProblemType:
    """Return the functions of a declared problem.

    Args:
        declared: The problem.
        threshold: Decision threshold that a model's training has fitted; None without one.
    """
    return _TYPES[declared.kind](declared).with_threshold(threshold)


_TYPES: Mapping[str, Callable[[Any], ProblemType]] = {
    Binary.kind: BinaryProblem,
    Multiclass.kind: MulticlassProblem,
    Regression.kind: RegressionProblem,
    Forecast.kind: ForecastProblem,
    Ranking.kind: RankingProblem,
}
