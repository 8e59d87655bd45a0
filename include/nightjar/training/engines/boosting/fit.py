"""Train boosted trees over all ranks, with an exact validation metric, early stopping and checkpoints."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.boosting import Boosting
from nightjar.problems.problem_type import ProblemType
from nightjar.protocol.errors import TrainingError
from nightjar.training.data import matrix
from nightjar.training.data.weighting import class_weights, without_class_weights
from nightjar.training.distributed import device, termination
from nightjar.training.distributed.checkpoint import Checkpoint, Checkpoints
from nightjar.training.engines.boosting.model import FILE, BoostedTrees
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.libraries import import_xgboost
from nightjar.training.engines.member import Member, MemberCard

if TYPE_CHECKING:
    from nightjar.problems.arrays import Labels


def fit(declared: Boosting, context: TrainingContext) -> Fitted:
    """Train boosted trees on the shards of all ranks; see :class:`nightjar.training.engines.registry.Engine`.

    A warm start continues the base's trees, and keeps them unchanged when no new round is better; the history has only
    new rounds.
    """
    train, validation, group, checkpoints = context.train, context.validation, context.group, context.checkpoints
    recipe = context.training_set.recipe
    metric = context.metric
    model_params = engine_params(declared, metric.problem, recipe.seed)
    if recipe.balance_classes:
        model_params["scale_pos_weight"] = context.event_weight()
    weights = class_weights(recipe, float(model_params.get("scale_pos_weight", 1.0)))
    params = {**model_params, "device": device.choose(group), "nthread": context.threads}
    # all ranks use the same kind of matrix: building them uses different collective operations
    in_memory = all(group.exchange(matrix.fits((train, validation), group.contract.ranks_here)))
    checkpoint = checkpoints.agree(group) if checkpoints else None
    history = list(checkpoint.history) if checkpoint else []
    trees = context.start.content()[FILE] if context.start else None
    start = checkpoint.state if checkpoint else trees
    writer = checkpoints if group.contract.rank == 0 else None
    try:
        with nullcontext() if in_memory else tempfile.TemporaryDirectory() as scratch:
            bins = _bins(context, params, scratch)
            labels = np.concatenate([of_batch for _, of_batch in validation.batches()])
            with termination.rounds() if checkpoints else nullcontext():
                booster = _rounds(bins, labels, params, start, history, declared, context, weights, writer)
            best = len(history) if declared.early_stopping_rounds is None else metric.best_round(history) + 1
            score = history[best - 1]
            if trees is not None and declared.early_stopping_rounds is not None:
                base_score = _score(trees, bins[1], labels, params, context, weights)
                if metric.metric.best((base_score, score)) == base_score:
                    best, score = 0, base_score
            rounds = int(booster.num_boosted_rounds()) - len(history) + best
            booster = booster[:rounds]  # a copy that does not reference the matrices
            del bins  # XGBoost removes its external memory files
    except import_xgboost().core.XGBoostError as error:
        raise group.lost_rank(timeout_seconds=3.0) or _engine_error(error) from error
    booster.set_param({"device": device.CPU, "nthread": context.threads})  # as in scoring
    device_kind = str(params["device"]).split(":")[0]
    card = MemberCard(
        name=declared.name,
        kind=declared.kind,
        engine=library_version(),
        # without the number of threads, which does not change the model
        params={**model_params, **_declared_values(declared), "device": device_kind},
        rounds=rounds,
        validation_score=score,
        class_weights=weights,
    )
    return Fitted(
        member=BoostedTrees(booster),
        card=card,
        history=tuple(history),
        external_memory=not in_memory,
        device=device_kind,
    )


def _declared_values(engine: Boosting) -> dict[str, Any]:
    """Return the declared values besides XGBoost's own parameters that determine the trees, for the card."""
    return {
        "num_rounds": engine.num_rounds,
        "early_stopping_rounds": engine.early_stopping_rounds,
        "checkpoint_every_rounds": engine.checkpoint_every_rounds,
    }


def library_version() -> str:
    """Return name and version of the library."""
    return f"xgboost {import_xgboost().__version__}"


def obstacle(declared: Boosting, card: MemberCard, member: Member) -> str:
    """Return an empty string: trees continue from any trees on the same features."""
    return ""


def for_columns(declared: Boosting, old_columns: Sequence[str], new_columns: Sequence[str]) -> Boosting:
    """Return the declaration with its monotone constraints for other columns; added columns have none."""
    constraints = declared.params.get("monotone_constraints")
    if constraints is None:
        return declared
    if isinstance(constraints, Mapping):
        adapted: Any = {name: value for name, value in constraints.items() if name in new_columns}
    else:
        values = constraints.strip("()[] ,").split(",") if isinstance(constraints, str) else constraints
        constraint_by_column = dict(zip(old_columns, map(int, values), strict=True))
        adapted = "(" + ",".join(str(constraint_by_column.get(name, 0)) for name in new_columns) + ")"
    return replace(declared, params={**declared.params, "monotone_constraints": adapted})


def _bins(context: TrainingContext, params: Mapping[str, Any], scratch: str | None) -> tuple[Any, Any]:
    """Return the rows to fit, weighted if the recipe says so, and the validation rows as XGBoost matrices."""
    is_grouped = context.metric.problem.is_grouped
    build = partial(matrix.build, features=context.training_set.features, params=params, is_grouped=is_grouped)
    is_weighted = context.training_set.recipe.rows.is_weighted
    train = build(context.train, cache=scratch and f"{scratch}/train", is_weighted=is_weighted)
    cache = scratch and f"{scratch}/validation"
    return train, build(context.validation, cache=cache, is_weighted=False, reference=train)


def _rounds(
    bins: tuple[Any, Any],
    labels: Labels,
    params: dict[str, Any],
    start: bytes | None,
    history: list[float],
    engine: Boosting,
    context: TrainingContext,
    weights: tuple[float, ...],
    writer: Checkpoints | None,
) -> Any:
    """Train until the last round or early stopping, appending to ``history``; return the booster.

    ``labels`` are those of the validation rows, ``weights`` those of the classes in training.
    """
    metric, progress = context.metric, context.progress
    train, validation = bins
    booster = import_xgboost().Booster(params, list(bins), model_file=bytearray(start) if start else None)
    first = len(history)
    base_rounds = int(booster.num_boosted_rounds()) - first
    progress.start(history, engine.num_rounds)
    while len(history) < engine.num_rounds and not metric.stalled(history, engine.early_stopping_rounds):
        completed = len(history)
        if completed % engine.checkpoint_every_rounds == 0 and completed > first:
            _restart_sampling(booster)
            if writer is not None:
                writer.save(Checkpoint(history=tuple(history), state=bytes(booster.save_raw("ubj"))))
            termination.exit_if_terminating()
        booster.update(train, base_rounds + completed)
        predictions = without_class_weights(booster.predict(validation).astype(np.float64), weights)
        history.append(metric.over_ranks(labels, predictions, after=f"round {completed + 1}"))
        progress.round_done(history)
    return booster


def _score(
    trees: bytes,
    validation: Any,
    labels: Labels,
    params: dict[str, Any],
    context: TrainingContext,
    weights: tuple[float, ...],
) -> float:
    """Return the validation metric of the base's trees; all ranks call it."""
    base = import_xgboost().Booster(params, model_file=bytearray(trees))
    predictions = without_class_weights(base.predict(validation).astype(np.float64), weights)
    return context.metric.over_ranks(labels, predictions, after="the base's last round")


def _restart_sampling(booster: Any) -> None:
    """Reset the column sampler, whose state a booster loaded from a checkpoint does not have.

    Rows are sampled by seed and round (``seed_per_iteration``), but the column sampler is part of the tree updater and
    keeps its state, which the saved model does not contain. Changing ``tree_method`` makes XGBoost recreate its
    updaters and keeps cached predictions; loading the model would recompute these for all trees and rows.
    """
    booster.set_param({"tree_method": "approx"})
    booster.save_config()  # applies the parameters
    booster.set_param({"tree_method": "hist"})


def engine_params(engine: Boosting, problem: ProblemType, seed: int) -> dict[str, Any]:
    """Return the use case's parameters with those of its problem and those that Nightjar sets."""
    return {
        **problem.boosting_params(),
        **engine.params,
        "tree_method": "hist",
        "disable_default_eval_metric": True,  # over ranks it is a mean of local metrics; ValidationMetric is exact
        "seed": seed,
        "seed_per_iteration": True,  # a round's sample must not depend on the process that trains it
    }


def _engine_error(error: Exception) -> TrainingError:
    # the message contains a C++ stack; its last line with a reason is useful
    lines = [line.strip(" -") for line in str(error).splitlines()]
    reasons = [line for line in lines if line and "[bt]" not in line and "Stack trace" not in line]
    return TrainingError(
        f"XGBoost failed: {reasons[-1] if reasons else 'no reason given'}",
        where="params of the use case's Boosting, or a lost rank",
        fix="read the log of the ranks above; check its params",
    )
