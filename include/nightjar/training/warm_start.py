"""Going on from a registered version: what it must share with the training, and what each engine takes from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nightjar.contracts.errors import ModelError, TrainingError
from nightjar.contracts.training import Engine, Network
from nightjar.training import boosted, network
from nightjar.training.model import TabularModel
from nightjar.training.network_graph import weights_of
from nightjar.training.training_set import TrainingSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]


def base_uri(lake: str, use_case: str, sha256: str) -> str:
    """Where :func:`nightjar.registry.models.ship` has put the version's model folder."""
    return f"{lake}/models/{use_case}/{sha256}"


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
        model = TabularModel.load(base_uri(lake, training_set.use_case, base.sha256), sha256=base.sha256)
    except ModelError as error:
        raise TrainingError(
            f"the base cannot be loaded: {error.what}",
            where=f"{where}, at {error.where}",
            fix="clear freeze_training_set of this run with force, which puts its files into the lake again",
        ) from error
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
    params = {member.kind: member.params for member in model.card.members}
    if engine.kind not in params:
        return f"it has no {engine.kind}"
    wanted: dict[str, Any] = (
        {"hidden": list(engine.hidden), "embedding_width": engine.embedding_width}
        if isinstance(engine, Network)
        else {}
    )
    other = [
        f"{name} {params[engine.kind][name]}, not {value}"
        for name, value in wanted.items()
        if params[engine.kind][name] != value
    ]
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
