"""Linear models as members: those of the baselines, in an ensemble, with reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.nightjar.training.engines.linear.rows import CATEGORIES, FEATURES, matrix_of, set_of, shard_of, signal_of
from tests.training_sets import context

from nightjar.declaration.engines import Boosting, Linear
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.declaration.rows import Rows
from nightjar.problems.binary.calibration import Calibrator
from nightjar.scoring.reasons import reason_columns
from nightjar.training.baselines import fit_baselines
from nightjar.training.distributed.collective import collective
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.linear.baseline import Baseline
from nightjar.training.engines.registry import ENGINES
from nightjar.training.ensemble.members import combine
from nightjar.training.model import ModelCard, TabularModel, save

CLASSES = Multiclass(classes=("a", "b", "c"))


def rows_of(problem: Problem, rows: Rows | None = None) -> TrainingContext:
    matrix = matrix_of(800)
    signal = signal_of(matrix)
    labels = {
        "binary": (signal > 0).astype(float),
        "multiclass": np.digitize(signal, [-0.5, 0.5]).astype(float),
        "regression": signal,
    }[problem.kind]
    flipped = np.random.default_rng(1).random(800) < 0.1
    noisy = labels if problem.kind == "regression" else np.where(flipped, labels[::-1], labels)
    found = set_of(problem, 800)
    recipe = replace(found.recipe, rows=rows or Rows(), decisive_metric=next(iter(problem.metrics)))
    shards = (shard_of(problem, matrix, noisy), shard_of(problem, matrix, noisy))
    return context(*shards, replace(found, recipe=recipe))


@pytest.mark.parametrize("problem", [Binary(), CLASSES, Regression(unit="min")], ids=lambda problem: problem.kind)
def test_it_is_the_linear_baseline_of_the_problem(problem: Problem, tmp_path: Path) -> None:
    rows = rows_of(problem, Rows(negative_share=0.5) if problem.kind == "binary" else None)
    with collective(rows.group):
        fitted = ENGINES["linear"].fit(Linear(name="straight"), rows)
        baseline = next(found for found in fit_baselines(rows) if found.name == "baseline")
    assert fitted.member.content() == baseline.member.content()
    assert fitted.card == replace(baseline.card, name="straight")
    card = ModelCard(
        use_case="x", features=FEATURES, categories=CATEGORIES, label="", prediction="", problem=problem,
        members=(fitted.card,), calibrator=Calibrator(), seed=1, world_size=1, validation_metric="x",
        validation_score=0.0, tables={},
    )  # fmt: skip
    save(f"{tmp_path}/m", card, [fitted.member], "{}")
    loaded = TabularModel.load(f"{tmp_path}/m")
    matrix = matrix_of(50, seed=3)
    assert (loaded.members[0].predict(matrix, threads=1) == fitted.member.predict(matrix, threads=1)).all()


def test_it_joins_an_ensemble_and_gives_reasons_that_add_up() -> None:
    rows = rows_of(Binary())
    with collective(rows.group):
        members = tuple(ENGINES[engine.kind].fit(engine, rows) for engine in (Boosting(num_rounds=10), Linear()))
        ensemble = combine(members, rows.validation, rows.training_set.recipe, threads=1)
    assert sum(ensemble.weights) == pytest.approx(1.0)
    linear = members[1].member
    assert isinstance(linear, Baseline)
    matrix = matrix_of(60, seed=4)
    parts = linear.contributions(matrix, threads=1)
    probability = linear.predict(matrix, threads=1)
    margin = np.log(probability / (1 - probability))
    np.testing.assert_allclose(parts.sum(axis=1) + linear.weights[0], margin, atol=1e-9)
    card = ModelCard(
        use_case="x", features=FEATURES, categories=CATEGORIES, label="", prediction="", problem=Binary(),
        members=tuple(replace(member.card, weight=0.5) for member in members), calibrator=Calibrator(), seed=1,
        world_size=1, validation_metric="x", validation_score=0.0, tables={},
    )  # fmt: skip
    model = TabularModel(card=card, members=tuple(member.member for member in members), profile="{}", sha256="0" * 64)
    reasons = reason_columns(model, matrix, 2)
    assert set(reasons["reason_1"].to_pylist()) <= {"distance", "carrier"}
