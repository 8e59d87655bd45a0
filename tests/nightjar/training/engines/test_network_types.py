"""Networks of each problem type: they learn, ONNX predicts like torch, and their losses are those of the type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.nightjar.training.engines.network_rows import FEATURES, SMALL, TRAINING_SET, rows, shard
from tests.training_sets import context

from nightjar.declaration.engines import Network
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.declaration.rows import Rows
from nightjar.problems.registry import problem_type
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.network import fit as network_fit
from nightjar.training.engines.network import model as network
from nightjar.training.engines.network.graph import weights_of
from nightjar.training.engines.network.heads import head_of
from nightjar.training.engines.network.module import build_module, predictions_of, put_weights

QUANTILES = (0.1, 0.5, 0.9)
CLASSES = Multiclass(classes=("low", "middle", "high"))
BAND = Regression(unit="min", loss="quantile", quantiles=QUANTILES)
FORECAST = Forecast(unit="units", horizon=2, season=7)
NUMBERS = [
    Regression(unit="min"),
    Regression(unit="min", loss="absolute"),
    Regression(unit="min", loss="huber", huber_slope=20.0),
    Regression(unit="items", loss="poisson"),
    Regression(unit="USD", loss="tweedie"),
]


def signal(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.nan_to_num(matrix[:, 1], nan=50).astype(np.float64)


def labelled(problem: Problem, label: Callable[[NDArray[np.float32], np.random.Generator], Any], seed: int) -> Shard:
    random = np.random.default_rng(seed)
    filled = Shard(columns=len(FEATURES), count_labels=problem_type(problem).count_labels)
    for day in range(6):
        matrix = rows(250, 100 * seed + day)
        filled.append(matrix, np.asarray(label(matrix, random), np.float32))
    return filled


def of_problem(problem: Problem, **recipe: Any) -> TrainingSet:
    metric = next(iter(problem.metrics))
    changed = replace(TRAINING_SET.recipe, problem=problem, decisive_metric=metric, **recipe)
    return replace(TRAINING_SET, recipe=changed)


def trained(problem: Problem, label: Any, engine: Network = SMALL) -> tuple[Fitted, Shard]:
    validation = labelled(problem, label, 2)
    return network_fit.fit(engine, context(labelled(problem, label, 1), validation, of_problem(problem))), validation


def predicted(fitted: Fitted, shard: Shard) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrices, labels = zip(*shard.batches(), strict=True)
    return np.concatenate(labels).astype(np.float64), fitted.member.predict(np.concatenate(matrices), threads=1)


def assert_onnx_predicts_like_torch(fitted: Fitted) -> None:
    member = fitted.member
    assert isinstance(member, network.Network)
    module = build_module(member.architecture, dropout=0.1)
    put_weights(module, weights_of(member))
    matrix = rows(700, 5)
    matrix[0] = np.nan
    with torch.inference_mode():
        expected = predictions_of(module.eval()(torch.from_numpy(matrix)), member.architecture.output).numpy()
    np.testing.assert_allclose(member.predict(matrix, threads=2), expected, rtol=2e-5, atol=1e-5)
    assert (
        network.load(member.content()).predict(matrix, threads=1).tolist() == member.predict(matrix, threads=1).tolist()
    )
    assert member.predict(matrix[:0], threads=1).shape == expected[:0].shape


def test_classes_are_learned_and_their_probabilities_add_up() -> None:
    def label(matrix: NDArray[np.float32], random: np.random.Generator) -> Any:
        return np.digitize(signal(matrix) + random.normal(0, 3, len(matrix)), [40, 60])

    fitted, validation = trained(CLASSES, label)
    labels, probabilities = predicted(fitted, validation)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.75
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert_onnx_predicts_like_torch(fitted)


@pytest.mark.parametrize("problem", NUMBERS, ids=lambda problem: problem.loss)
def test_numbers_are_learned_in_the_unit_of_the_label(problem: Regression) -> None:
    def label(matrix: NDArray[np.float32], random: np.random.Generator) -> Any:
        expected = 300 + 20 * signal(matrix)
        return random.poisson(expected / 100) * 100.0 if problem.has_lower_bound else random.normal(expected, 50)

    fitted, validation = trained(problem, label, replace(SMALL, epochs=15))
    labels, numbers = predicted(fitted, validation)
    assert np.abs(labels - numbers).mean() < 0.75 * np.abs(labels - labels.mean()).mean()
    assert numbers.mean() == pytest.approx(labels.mean(), rel=0.1)
    assert_onnx_predicts_like_torch(fitted)


@pytest.mark.parametrize("problem", [BAND, FORECAST], ids=lambda problem: problem.kind)
def test_quantiles_cover_their_share_of_the_labels(problem: Problem) -> None:
    def label(matrix: NDArray[np.float32], random: np.random.Generator) -> Any:
        numbers = signal(matrix) + random.normal(0, 10, len(matrix))
        # a forecast's labels: value, scale of the series, step, day
        return numbers if problem is BAND else np.stack([numbers, *np.ones((3, len(numbers)))], axis=1)

    fitted, validation = trained(problem, label, replace(SMALL, epochs=15))
    labels, quantiles = predicted(fitted, validation)
    numbers = labels if labels.ndim == 1 else labels[:, 0]
    for position, quantile in enumerate(QUANTILES):
        assert (numbers <= quantiles[:, position]).mean() == pytest.approx(quantile, abs=0.08)
    assert_onnx_predicts_like_torch(fitted)


def test_constant_labels_are_predicted_and_not_divided_by_zero() -> None:
    fitted, validation = trained(Regression(unit="min"), lambda matrix, _: np.full(len(matrix), 7.0))
    np.testing.assert_allclose(predicted(fitted, validation)[1], 7.0, atol=1.5)


def test_focal_loss_is_that_of_its_paper() -> None:
    logits, labels = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 1.0, 0.0])
    head = head_of(Binary(), Network(focal_gamma=2.0), shard(10, 1), 1.0, None)
    probability = torch.sigmoid(logits)
    of_label = torch.where(labels == 1, probability, 1 - probability)
    torch.testing.assert_close(head.losses(logits, labels), -((1 - of_label) ** 2) * torch.log(of_label))


def test_poisson_and_tweedie_losses_are_lowest_at_the_label() -> None:
    labels = torch.full((401,), 30.0)
    logarithms = torch.linspace(-2, 2, 401, dtype=torch.float64)
    constant = labelled(NUMBERS[3], lambda matrix, _: np.full(len(matrix), 30.0), 1)
    for problem in NUMBERS[3:]:
        rows_of = context(constant, constant, of_problem(problem))
        assert isinstance(rows_of, TrainingContext)
        head = head_of(problem, SMALL, constant, 1.0, network.Output(link="log", center=float(np.log(30))))
        assert abs(logarithms[head.losses(logarithms, labels.double()).argmin()]) < 1e-6


def weighted(weights: list[float], *, is_weighted: bool) -> float:
    """Return the mean probability after training on days with these weights; the last day's labels are all 1."""
    filled = Shard(columns=len(FEATURES), count_labels=problem_type(Binary()).count_labels)
    for day, weight in enumerate(weights):
        matrix = rows(250, day)
        labels = np.full(len(matrix), float(day == len(weights) - 1), np.float32)
        filled.append(matrix, labels, weights=np.full(len(matrix), weight, np.float32))
    found = of_problem(Binary(), rows=Rows(weight_column="signal" if is_weighted else None))
    fitted = network_fit.fit(replace(SMALL, epochs=4), context(filled, shard(400, 2), found))
    return float(fitted.member.predict(rows(300, 9), threads=1).mean())


def test_rows_count_by_their_weight() -> None:
    assert weighted([0.01, 0.01, 0.01, 1.0], is_weighted=True) > 0.7
    assert weighted([0.01, 0.01, 0.01, 1.0], is_weighted=False) < 0.4


def test_accumulated_batches_make_fewer_and_larger_steps() -> None:
    """Without dropout, two batches of 64 accumulated are one of 128: equal weights but for rounding."""
    train, validation = shard(1280, 1), shard(300, 2)

    def weights(engine: Network) -> dict[str, NDArray[np.float32]]:
        fitted = network_fit.fit(engine, context(train, validation, TRAINING_SET))
        assert isinstance(fitted.member, network.Network)
        return weights_of(fitted.member)

    whole = replace(SMALL, dropout=0.0, epochs=1, batch_size=128, clip_norm=1e9)
    of_whole, of_halves = weights(whole), weights(replace(whole, batch_size=64, accumulated_batches=2))
    for name, values in of_whole.items():
        np.testing.assert_allclose(of_halves[name], values, rtol=0, atol=2e-4)
    of_small = weights(replace(whole, batch_size=64))
    assert max(float(np.abs(of_small[name] - values).max()) for name, values in of_whole.items()) > 2e-3


@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_other_schedules_and_sgd_train_and_resume_to_the_same_bytes(tmp_path: Path, schedule: Any) -> None:
    engine = replace(SMALL, optimizer="sgd", learning_rate=0.1, schedule=schedule, epochs=6, early_stopping_epochs=6)

    def fit(number: int, place: Path) -> Fitted:
        found = context(shard(800, 1), shard(400, 2), TRAINING_SET, checkpoints=str(place))
        return network_fit.fit(replace(engine, epochs=number) if schedule == "constant" else engine, found)

    whole = fit(6, tmp_path / "whole")
    assert whole.card.validation_score > 0.6
    fit(3, tmp_path / "killed")  # a shorter training stands for one that was killed
    assert fit(6, tmp_path / "killed").member.content() == whole.member.content()


def test_range_test_finds_a_learning_rate_and_leaves_the_first_weights() -> None:
    train, validation = shard(6400, 1), shard(600, 2)
    found = context(train, validation, TRAINING_SET)
    tested = network_fit.fit(replace(SMALL, learning_rate="range_test", batch_size=64), found)
    peak = tested.card.params["learning_rate"]
    assert 1e-4 < peak < 0.3
    same = network_fit.fit(replace(SMALL, learning_rate=peak, batch_size=64), context(train, validation, TRAINING_SET))
    assert same.member.content() == tested.member.content()
