"""Warm start from a registered version: the base, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date, timedelta
from typing import Any

from nightjar.declaration.engines import DeclaredEngine
from nightjar.declaration.problem import Problem
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import ModelError, TrainingError
from nightjar.training.data.training_set import Split, TrainingSet
from nightjar.training.engines.registry import ENGINES
from nightjar.training.model import TabularModel, folder_in_lake


def days_seen(seen: Sequence[tuple[date, date]], days: Sequence[date], *, label_horizon_nights: int) -> list[date]:
    """Return the label ``days`` that a model has seen in training or validation, in whole or in part.

    The outcome of a label takes the ``label_horizon_nights`` nights until it lands. A day less than these away from a
    seen interval shares nights with a label that the model has seen; with one night, only the interval's own days do.

    Args:
        seen: First and last label day of each interval that the model was trained or validated on.
        days: Label days.
        label_horizon_nights: Nights from the features to their label.
    """
    reach = timedelta(days=label_horizon_nights)
    return [day for day in days if any(first - reach < day < last + reach for first, last in seen)]


def check_holdout_is_unseen(
    seen: Sequence[tuple[date, date]], holdout: Split, *, label_horizon_nights: int, version: str, use_case: str
) -> None:
    """Reject a base that was trained on days of the holdout, where its metrics would be too good.

    Raises:
        TrainingError: naming the days.
    """
    if days := days_seen(seen, holdout.days, label_horizon_nights=label_horizon_nights):
        near = f" or within {label_horizon_nights - 1} days of them" if label_horizon_nights > 1 else ""
        raise TrainingError(
            f"the base was trained on {len(days)} of the {len(holdout.days)} holdout days{near}, "
            f"{days[0]} to {days[-1]}",
            where=f"version {version} of {use_case}, the base of training.warm_start",
            how_many=len(days),
            fix="train on an interval that ends later, start from an earlier version (WarmStart.version), or leave "
            "training.warm_start out",
        )


def load_base(lake: Lake, training_set: TrainingSet) -> TabularModel | None:
    """Load the base of this training; None without a warm start.

    Raises:
        TrainingError: when the base is not in the lake, or does not fit, saying what differs.
    """
    base = training_set.recipe.base
    if base is None:
        return None
    where = f"version {base.version} of {training_set.use_case}, the base of training.warm_start"
    try:
        model = TabularModel.load(folder_in_lake(lake, training_set.use_case, base.sha256), sha256=base.sha256)
    except ModelError as error:
        raise TrainingError(
            f"the base cannot be loaded: {error.what}",
            where=f"{where}, at {error.where}",
            fix="clear freeze_training_set of this run with force, which copies its files to the lake again",
        ) from error
    check_holdout_is_unseen(
        model.card.seen,
        training_set.holdout,
        label_horizon_nights=training_set.label_horizon_nights,
        version=base.version,
        use_case=training_set.use_case,
    )
    if differing := _differing(model, training_set):
        raise TrainingError(
            f"the base does not fit: {'; '.join(differing)}",
            where=where,
            how_many=len(differing),
            fix="leave training.warm_start out, or choose a version with the same problem, features and engines",
        )
    return model


def _differing(model: TabularModel, training_set: TrainingSet) -> list[str]:
    """Return the reasons why the training cannot start from ``model``."""
    problem, problem_of_base = training_set.recipe.problem, model.card.problem
    if _without_decisions(problem) != _without_decisions(problem_of_base):
        return [f"its problem is {problem_of_base}, and that of the use case {problem}"]
    current, base = ([(f.name, f.kind) for f in features] for features in (training_set.features, model.card.features))
    if current != base:
        differing = sorted({name for name, _ in set(current) ^ set(base)})
        return [f"it has other features ({', '.join(differing[:5]) or 'in another order'})"]
    vocabularies = [
        f"the vocabulary of {name} does not begin with the base's {len(values)} values"
        for name, values in model.card.categories.items()
        if training_set.categories[name][: len(values)] != values
    ]
    engines = [engine for engine, _ in training_set.recipe.bagged]
    return vocabularies + [obstacle for engine in engines if (obstacle := _obstacle(model, engine))]


_OF_DECISIONS = ("cost", "alarms")


def _without_decisions(problem: Problem) -> dict[str, Any]:
    """Return what training depends on: the kind, and the declared values without those of decisions."""
    values = {field.name: getattr(problem, field.name) for field in fields(problem) if field.name not in _OF_DECISIONS}
    return {"kind": problem.kind, **values}


def _obstacle(model: TabularModel, engine: DeclaredEngine) -> str:
    """Return why ``engine`` cannot start from ``model``; empty if it can."""
    cards = {card.name: card for card in model.card.members}
    card = cards.get(engine.name)
    if card is None or card.kind != engine.kind:
        return f"it has no {engine.kind}" + ("" if engine.name == engine.kind else f" named {engine.name}")
    return ENGINES[engine.kind].obstacle(engine, card, model.member(engine.name))
