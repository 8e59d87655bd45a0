"""A warm start from the champion of a real registry: frozen by Spark, trained by two ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nightjar.declaration.training import WarmStart
from nightjar.declaration.use_case import load_use_case
from nightjar.registry import models
from nightjar.runner import run_program
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.boosting.model import BoostedTrees
from nightjar.training.model import TabularModel
from nightjar_jobs import evaluate, gate, promote, register
from nightjar_spark.freeze_training_set import freeze

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.e2e, pytest.mark.spark]
USE_CASE = load_use_case("flight_delay")
PROGRAMS = (evaluate, register, gate, promote)


def trees_of(model: TabularModel) -> BoostedTrees:
    (trees,) = model.members
    assert isinstance(trees, BoostedTrees)
    return trees


def test_a_training_goes_on_from_the_registered_champion(
    spark: SparkSession, trained: Any, new_run: Callable[..., Any], registry: str
) -> None:
    first = new_run("warm-first")
    first.adopt(trained, "freeze_training_set", "train")
    for program in PROGRAMS:
        name = program.__name__.rsplit(".", 1)[-1]
        result = run_program(program.run, first.spec(name))
        assert result.status == "succeeded", result.error
    champion = models.champion(USE_CASE.name)
    assert champion is not None

    warm = replace(USE_CASE, training=replace(USE_CASE.training, warm_start=WarmStart()))
    second = new_run("warm-second")
    freeze(spark, second.spec("freeze_training_set"), warm)
    base = TrainingSet.of_run(second.spec("train")).recipe.base
    assert base is not None
    assert (base.version, base.sha256) == (champion.version, champion.sha256)

    trained_on = second("train")
    assert trained_on.status == "succeeded", trained_on.error
    loaded = [TabularModel.load(uri) for uri in (first.result("train").model, trained_on.model)]
    before, after = (trees_of(model).booster for model in loaded)
    rounds = before.num_boosted_rounds()
    assert after.num_boosted_rounds() > rounds
    assert after[:rounds].get_dump() == before.get_dump()
