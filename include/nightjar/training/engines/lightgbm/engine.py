"""Train boosted trees of LightGBM on one rank, with the gate's metric and early stopping."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.engines import LightGBM
from nightjar.problems.arrays import targets
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.data.weighting import class_weights, without_class_weights
from nightjar.training.distributed.device import CPU
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.libraries import import_lightgbm
from nightjar.training.engines.lightgbm.model import LightGBMTrees
from nightjar.training.engines.lightgbm.objectives import boosters_of
from nightjar.training.engines.member import Member, MemberCard

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fit(declared: LightGBM, context: TrainingContext) -> Fitted:
    """Train on this rank's rows, the only ones; see :class:`nightjar.training.engines.registry.Engine`."""
    lightgbm, recipe = import_lightgbm(), context.training_set.recipe
    common = {
        **declared.params,
        "seed": recipe.seed,
        "deterministic": True,
        "force_row_wise": True,  # the way that is as fast must not depend on a measurement
        "num_threads": context.threads,
        "verbosity": -1,
        "metric": "none",  # the gate's metric is computed here
    }
    params = [{**common, **of_booster} for of_booster in boosters_of(recipe.problem)]
    train = _dataset(context.train, context, common, is_weighted=recipe.rows.is_weighted)
    validation, labels = map(np.concatenate, zip(*context.validation.batches(), strict=True))
    try:
        boosters = [lightgbm.Booster(of_booster, train) for of_booster in params]
        for booster in boosters:
            booster.add_valid(train.create_valid(validation, targets(labels)), "validation")
        history = _rounds(boosters, labels, declared, context)
    except lightgbm.basic.LightGBMError as error:
        raise TrainingError(
            f"LightGBM failed: {error}", where="params of the use case's LightGBM", fix="check its params"
        ) from error
    best = len(history) if declared.early_stopping_rounds is None else context.metric.best_round(history) + 1
    texts = tuple(_text(booster, best) for booster in boosters)
    card = MemberCard(
        name=declared.name,
        kind=declared.kind,
        engine=library_version(),
        params={
            **declared.params,
            "num_rounds": declared.num_rounds,
            "early_stopping_rounds": declared.early_stopping_rounds,
        },
        rounds=best,
        validation_score=history[best - 1],
        class_weights=class_weights(recipe),
    )
    return Fitted(
        member=LightGBMTrees.from_texts(texts), card=card, history=tuple(history), external_memory=False, device=CPU
    )


def _dataset(shard: Shard, context: TrainingContext, params: dict[str, Any], *, is_weighted: bool) -> Any:
    """Return the rows to fit, weighted if the recipe says so."""
    matrices, labels, weights = zip(*shard.weighted_batches(), strict=True)
    features = context.training_set.features
    return import_lightgbm().Dataset(
        np.concatenate(matrices),
        targets(np.concatenate(labels)),
        weight=np.concatenate(weights) if is_weighted else None,
        feature_name=[feature.name for feature in features],
        categorical_feature=[i for i, feature in enumerate(features) if feature.kind == "categorical"],
        params=params,
    )


def _rounds(
    boosters: Sequence[Any], labels: NDArray[np.float32], declared: LightGBM, context: TrainingContext
) -> list[float]:
    """Train until the last round or early stopping; return the validation metric of each round."""
    history: list[float] = []
    weights = class_weights(context.training_set.recipe)
    context.progress.start(history, declared.num_rounds)
    while len(history) < declared.num_rounds and not context.metric.stalled(history, declared.early_stopping_rounds):
        for booster in boosters:
            booster.update()
        outputs = [_predictions(booster) for booster in boosters]
        stacked = outputs[0] if len(outputs) == 1 else np.stack(outputs, axis=1)
        predictions = without_class_weights(stacked, weights)
        history.append(context.metric.over_ranks(labels, predictions, after=f"round {len(history) + 1}"))
        context.progress.round_done(history)
    return history


def _predictions(booster: Any) -> NDArray[np.float64]:
    """Return the booster's predictions for its validation rows, which it keeps up to date with each round."""
    seen: list[NDArray[np.float64]] = []

    def keep(predictions: NDArray[np.float64], rows: Any) -> tuple[str, float, bool]:
        seen.append(np.array(predictions, np.float64))
        return "kept", 0.0, False

    booster.eval_valid(keep)
    return seen[0]


def _text(booster: Any, rounds: int) -> str:
    """Return the first rounds in LightGBM's text format, without the number of threads, which changes no tree."""
    text: str = booster.model_to_string(num_iteration=rounds)
    return re.sub(r"\[num_threads: \d+\]", "[num_threads: 0]", text)


def library_version() -> str:
    """Return name and version of the library."""
    return f"lightgbm {import_lightgbm().__version__}"


def obstacle(declared: LightGBM, card: MemberCard, member: Member) -> str:
    """Return that it does not continue: a warm start with LightGBM is refused when it is declared."""
    return "LightGBM is trained from the start"


def for_columns(declared: LightGBM, old_columns: Sequence[str], new_columns: Sequence[str]) -> LightGBM:
    """Return the declaration: it names no columns by position."""
    return declared
