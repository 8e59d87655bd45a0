"""Going on from a registered version: what it must share with the training, and what each engine takes from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from nightjar.declaration.training import Engine, Network
from nightjar.protocol.errors import ModelError, TrainingError
from nightjar.training.data.training_set import Split, TrainingSet
from nightjar.training.engines.boosting import model as boosted
from nightjar.training.engines.network import model as network
from nightjar.training.engines.network.graph import weights_of
from nightjar.training.model import TabularModel, folder_in_lake

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]


def days_seen(seen: Sequence[tuple[date, date]], days: Sequence[date]) -> list[date]:
    """Return those of ``days`` that lie in an interval that a model has been trained or validated on."""
    return [day for day in days if any(first <= day <= last for first, last in seen)]


def check_held_out(seen: Sequence[tuple[date, date]], holdout: Split, *, version: str, use_case: str) -> None:
    """Refuse a base that has seen days of the holdout: the gate would measure what the model remembers.

    Raises:
        TrainingError: naming the days.
    """
    if days := days_seen(seen, holdout.days):
        raise TrainingError(
            f"the base was trained on {len(days)} of the {len(holdout.days)} holdout days, {days[0]} to {days[-1]}",
            where=f"version {version} of {use_case}, which training.warm_start goes on from",
            how_many=len(days),
            fix="train on an interval that ends later, go on from an earlier version (WarmStart.version), or leave "
            "training.warm_start out",
        )


def load_base(lake: str, training_set: TrainingSet) -> TabularModel | None:
    """The version that this training goes on from; None where it begins anew.

    Raises:
        TrainingError: when it is not in the lake, or does not fit, saying what differs.
    """
    base = training_set.recipe.base
    if base is None:
        return None
    where = f"version {base.version} of {training_set.use_case}, which training.warm_start goes on from"
    try:
        model = TabularModel.load(folder_in_lake(lake, training_set.use_case, base.sha256), sha256=base.sha256)
    except ModelError as error:
        raise TrainingError(
            f"the base cannot be loaded: {error.what}",
            where=f"{where}, at {error.where}",
            fix="clear freeze_training_set of this run with force, which puts its files into the lake again",
        ) from error
    check_held_out(model.card.seen, training_set.holdout, version=base.version, use_case=training_set.use_case)
    if differing := _differing(model, training_set):
        raise TrainingError(
            f"the base does not fit: {'; '.join(differing)}",
            where=where,
            how_many=len(differing),
            fix="leave training.warm_start out to train from nothing, or choose a version with the same features and "
            "engines",
        )
    return model


def _differing(model: TabularModel, training_set: TrainingSet) -> list[str]:
    """What keeps the training from going on from ``model``."""
    mine, base = ([(f.name, f.kind) for f in features] for features in (training_set.features, model.card.features))
    if mine != base:
        odd = sorted({name for name, _ in set(mine) ^ set(base)})
        return [f"it has other features ({', '.join(odd[:5]) or 'in another order'})"]
    vocabularies = [
        f"the vocabulary of {name} does not begin with the base's {len(values)} values"
        for name, values in model.card.categories.items()
        if training_set.categories[name][: len(values)] != values
    ]
    return vocabularies + [
        problem for engine in training_set.recipe.engines if (problem := _problem_of_engine(model, engine))
    ]


def _problem_of_engine(model: TabularModel, engine: Engine) -> str:
    """What keeps ``engine`` from going on from ``model``, by what the model is and not by what its card says."""
    cards = {card.kind: (card, member) for card, member in zip(model.card.members, model.members, strict=True)}
    if engine.kind not in cards:
        return f"it has no {engine.kind}"
    card, member = cards[engine.kind]
    if not isinstance(engine, Network) or not isinstance(member, network.Network):
        return ""
    wanted = {"hidden": list(engine.hidden), "embedding_width": engine.embedding_width}
    there = {"hidden": list(member.architecture.hidden), "embedding_width": card.params.get("embedding_width")}
    other = [f"{name} {there[name]}, not {value}" for name, value in wanted.items() if there[name] != value]
    return f"its network has {' and '.join(other)}" if other else ""


def network_of(base: TabularModel) -> network.Network:
    """The base's network."""
    return next(member for member in base.members if isinstance(member, network.Network))


def trees_of(base: TabularModel) -> bytes:
    """The base's trees, as XGBoost reads them."""
    return next(member.content()[boosted.FILE] for member in base.members if isinstance(member, boosted.BoostedTrees))


def grown(base: network.Network, values: Sequence[int | None]) -> tuple[network.Architecture, Weights]:
    """The base's layers and weights for vocabularies that go on where its own end.

    A new category begins as the unknown, which the base has answered with so far.

    Args:
        base: A trained network.
        values: Per column, how many values the vocabulary has now; None for a number.
    """
    import numpy as np

    weights = weights_of(base)
    for number, column in enumerate(base.architecture.categorical):
        name = f"embeddings.{number}.weight"
        new = (values[column] or 0) - (base.architecture.values[column] or 0)
        weights[name] = np.concatenate([weights[name], np.repeat(weights[name][:1], new, axis=0)])
    return replace(base.architecture, values=tuple(values)), weights
