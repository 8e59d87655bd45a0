"""LightGBM: the gate's metric and early stopping, equal files for any threads, every type of rows, no pickle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest
from tests.nightjar.training.engines.linear.rows import matrix_of, set_of, shard_of, signal_of
from tests.training_sets import context

from nightjar.declaration.engines import LightGBM
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import ModelError
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.lightgbm import engine
from nightjar.training.engines.lightgbm.model import load
from nightjar.training.engines.lightgbm.objectives import boosters_of
from nightjar.training.ensemble.members import predict_shard

PARAMS = {"num_leaves": 7, "learning_rate": 0.2, "min_data_in_leaf": 5, "bagging_fraction": 0.7, "bagging_freq": 1}
CLASSES = Multiclass(classes=("low", "middle", "high"))
BAND = Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5, 0.9))
PROBLEMS: dict[str, Problem] = {
    "binary": Binary(),
    "multiclass": CLASSES,
    "squared": Regression(unit="min"),
    "absolute": Regression(unit="min", loss="absolute"),
    "huber": Regression(unit="min", loss="huber"),
    "poisson": Regression(unit="min", loss="poisson"),
    "tweedie": Regression(unit="min", loss="tweedie"),
    "quantile": BAND,
}


def rows(problem: Problem, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Encoded features, and labels that follow them."""
    matrix = matrix_of(count, seed=seed)
    signal = signal_of(matrix) + 0.3 * np.random.default_rng(seed).normal(size=count)
    labels = {
        "binary": (signal > 0).astype(float),
        "multiclass": np.digitize(signal, [-0.5, 0.8]).astype(float),
    }.get(problem.kind, np.maximum(signal + 2, 0))
    return matrix, labels


def trained(problem: Problem, *, threads: int = 1, **fields: Any) -> Fitted:
    frozen = set_of(problem, 900)
    metric = next(iter(problem.metrics))
    frozen = replace(frozen, recipe=replace(frozen.recipe, decisive_metric=metric))
    train, validation = (shard_of(problem, *rows(problem, 900, seed)) for seed in (1, 2))
    declared = LightGBM(**{"params": PARAMS, "num_rounds": 25, "early_stopping_rounds": None, **fields})
    return engine.fit(declared, replace(context(train, validation, frozen), threads=threads))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_each_type_learns_and_predicts_the_same_from_its_files_for_any_threads(problem: Problem) -> None:
    fitted = trained(problem)
    of_type = problem_type(problem)
    matrix, labels = rows(problem, 600, 3)
    outputs = fitted.member.predict(matrix, threads=1)
    loaded = load(fitted.member.content())
    assert (loaded.predict(matrix, threads=2) == outputs).all()
    assert (loaded.predict(matrix[5:6], threads=1) == outputs[5:6]).all(), "a row depends on others"
    metric = of_type.validation_metric(next(iter(problem.metrics)))
    score = of_type.validation_value(metric.name, of_type.validation_sums(metric.name, labels, outputs))
    first = fitted.history[0]
    assert metric.worse_by(score, first) < 0, "more rounds do not help"
    assert trained(problem, threads=2).member.content() == fitted.member.content()


def test_its_trees_are_those_of_lightgbm_itself() -> None:
    fitted = trained(Binary())
    matrix, labels = rows(Binary(), 900, 1)
    params = {
        **PARAMS, "objective": "binary", "seed": set_of(Binary(), 1).recipe.seed, "deterministic": True,
        "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(matrix, labels.astype(np.float32), categorical_feature=[1])
    expected = lightgbm.train(params, data, 25)
    new = rows(Binary(), 300, 9)[0]
    assert (fitted.member.predict(new, threads=1) == expected.predict(new)).all()


def test_the_history_is_the_gates_metric_and_the_best_round_is_kept() -> None:
    fitted = trained(Binary(), num_rounds=200, early_stopping_rounds=5, params={**PARAMS, "learning_rate": 0.8})
    assert len(fitted.history) == fitted.card.rounds + 5 < 200
    assert fitted.card.rounds == int(np.argmin(fitted.history)) + 1
    of_type = problem_type(Binary())
    labels, outputs = predict_shard(fitted.member, shard_of(Binary(), *rows(Binary(), 900, 2)), threads=1)
    sums = of_type.validation_sums("log_loss", labels, outputs)
    assert of_type.validation_value("log_loss", sums) == pytest.approx(fitted.card.validation_score, rel=1e-9)


def test_a_forecast_has_a_booster_for_each_quantile() -> None:
    forecast = Forecast(unit="pieces", horizon=3, season=7, quantiles=(0.2, 0.5))
    assert [params["alpha"] for params in boosters_of(forecast)] == [0.2, 0.5]


@pytest.mark.parametrize("change", [lambda t: t[: len(t) // 2], lambda t: b"x" + t, lambda t: b""])
def test_a_file_that_is_not_complete_is_refused(change: Any) -> None:
    content = {name: change(text) for name, text in trained(Binary(), num_rounds=2).member.content().items()}
    with pytest.raises(ModelError, match="not a complete model of LightGBM"):
        load(content)
