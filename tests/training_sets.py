"""Training sets, and what one rank trains on, for tests with rows in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from nightjar.declaration.engines import DeclaredEngine
from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Binary
from nightjar.declaration.use_case import load_use_case
from nightjar.problems.binary.problem import BinaryProblem
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import Split, TrainingSet
from nightjar.training.distributed.checkpoint import Checkpoints
from nightjar.training.distributed.launch import free_port
from nightjar.training.distributed.progress import Progress, Report, silent
from nightjar.training.distributed.rendezvous import Group, LaunchContract
from nightjar.training.engines.context import TrainingContext
from nightjar.training.model import TabularModel
from nightjar.training.recipe import Recipe

DAY = date(2013, 1, 2)
NOTHING = Split(first=DAY, last=DAY, days=(DAY,), rows=0, labels={"positives": 0})
METRIC = "auc"
"""Metric that the trainings watch."""
count_labels = BinaryProblem(Binary()).count_labels


def training_set(
    features: tuple[Feature, ...],
    categories: Mapping[str, tuple[str, ...]] | None = None,
    engines: tuple[DeclaredEngine, ...] = (),
) -> TrainingSet:
    """A training set of ``features``; its recipe is that of the default use case, by AUC, with given ``engines``."""
    recipe = Recipe.of(load_use_case("flight_delay"))
    return TrainingSet(
        use_case="test",
        tables={},
        key=("id",),
        features=features,
        categories=categories or {},
        train=NOTHING,
        validation=NOTHING,
        holdout=NOTHING,
        recipe=replace(recipe, engines=engines or recipe.engines, decisive_metric=METRIC),
    )


def one_rank() -> Group:
    """A group of a single rank."""
    contract = LaunchContract(rank=0, world_size=1, master_addr="127.0.0.1", master_port=free_port())
    return Group(contract, "job", timeout_seconds=5)


def context(
    train: Shard,
    validation: Shard,
    found: TrainingSet,
    *,
    checkpoints: str = "",
    report: Report = silent,
    base: TabularModel | None = None,
) -> TrainingContext:
    """What a single rank trains on, silently; ``checkpoints`` is their folder."""
    return TrainingContext(
        train=train,
        validation=validation,
        training_set=found,
        group=one_rank(),
        threads=1,
        progress=Progress("test", Binary().metrics[METRIC], train.rows, silent, report),
        checkpoints=Checkpoints(place=checkpoints, training={"name": "test"}) if checkpoints else None,
        base=base,
    )
