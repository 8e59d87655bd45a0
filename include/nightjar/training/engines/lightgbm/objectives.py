"""What LightGBM minimizes for each problem type: parameters of one booster, or of one for each quantile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression

Params = Mapping[str, Any]


def boosters_of(problem: Problem) -> Sequence[Params]:
    """Return the parameters of each booster; their outputs are those of the problem type, in this order."""
    return _OBJECTIVES[problem.kind](problem)


def _of_binary(problem: Binary) -> Sequence[Params]:
    return [{"objective": "binary"}]


def _of_classes(problem: Multiclass) -> Sequence[Params]:
    return [{"objective": "multiclass", "num_class": len(problem.classes)}]


def _of_number(problem: Regression) -> Sequence[Params]:
    of_loss: Mapping[str, Sequence[Params]] = {
        "squared": [{"objective": "regression"}],
        "absolute": [{"objective": "regression_l1"}],
        "huber": [{"objective": "huber", "alpha": problem.huber_slope}],
        "poisson": [{"objective": "poisson"}],
        "tweedie": [{"objective": "tweedie", "tweedie_variance_power": problem.tweedie_power}],
        "quantile": _of_quantiles(problem.quantiles),
    }
    return of_loss[problem.loss]


def _of_forecast(problem: Forecast) -> Sequence[Params]:
    return _of_quantiles(problem.quantiles)


def _of_quantiles(quantiles: Sequence[float]) -> Sequence[Params]:
    return [{"objective": "quantile", "alpha": quantile} for quantile in quantiles]


_OBJECTIVES: Mapping[str, Callable[[Any], Sequence[Params]]] = {
    Binary.kind: _of_binary,
    Multiclass.kind: _of_classes,
    Regression.kind: _of_number,
    Forecast.kind: _of_forecast,
}
