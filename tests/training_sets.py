"""Descriptions of training sets for tests with rows in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from nightjar.declaration.training import Engine
from nightjar.declaration.use_case import Feature, load_use_case
from nightjar.training.data.training_set import Split, TrainingSet
from nightjar.training.recipe import Recipe

DAY = date(2013, 1, 2)
NOTHING = Split(first=DAY, last=DAY, days=(DAY,), rows=0, positives=0)


def training_set(
    features: tuple[Feature, ...],
    categories: Mapping[str, tuple[str, ...]] | None = None,
    engines: tuple[Engine, ...] = (),
) -> TrainingSet:
    """A training set of ``features``; its recipe is that of the default use case, with ``engines`` where given."""
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
        recipe=replace(recipe, engines=engines or recipe.engines),
    )
