"""Boosting over all ranks: round by round, with the exact validation AUC, early stopping, and checkpoints."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from nightjar.declaration.training import Boosting
from nightjar.declaration.use_case import Feature
from nightjar.protocol.errors import TrainingError
from nightjar.training.data import matrix
from nightjar.training.data.class_weight import event_weight
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed import device, termination
from nightjar.training.distributed.checkpoint import Checkpoint, Checkpoints
from nightjar.training.distributed.progress import Progress
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.boosting.model import BoostedTrees
from nightjar.training.engines.early_stopping import best_round, stalled
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.libraries import import_xgboost
from nightjar.training.engines.member import MemberCard
from nightjar.training.engines.validation_auc import auc_over_ranks
from nightjar.training.model import TabularModel
from nightjar.training.warm_start import trees_of


def boost(
    train: Shard,
    validation: Shard,
    training_set: TrainingSet,
    engine: Boosting,
    *,
    group: Group,
    threads: int,
    checkpoints: Checkpoints | None,
    progress: Progress,
    base: TabularModel | None = None,
) -> Fitted:
    """Train on this rank's shards together with the other ranks.

    Args:
        train: Rows to fit.
        validation: Rows that early stopping looks at.
        training_set: The matrix's columns, the seed, and what else is done.
        engine: Parameters, rounds, early stopping, how often to keep a checkpoint.
        group: The ranks; every rank calls this.
        threads: Threads of this rank.
        checkpoints: Where an earlier try left off, and where this one leaves its own; None keeps none.
        progress: Told of each round.
        base: Whose trees the first round goes on from; None begins anew. The history is of the rounds after it.

    Raises:
        TrainingError: when a rank fails, the engine refuses, or predictions are no numbers.
        StorageFullError: when a checkpoint cannot be kept.
    """
    decided = engine_params(engine, training_set.recipe.seed)
    if training_set.recipe.balance_classes:
        decided["scale_pos_weight"] = event_weight(train, group)
    params = {**decided, "device": device.choose(group), "nthread": threads}
    # all ranks alike: the two kinds of matrix talk to the other ranks differently while they are built
    in_memory = all(group.exchange(matrix.fits((train, validation), group.contract.ranks_here)))
    checkpoint = checkpoints.agree(group) if checkpoints else None
    history = list(checkpoint.history) if checkpoint else []
    trees = trees_of(base) if base else None
    start = checkpoint.state if checkpoint else trees
    keeper = checkpoints if group.contract.rank == 0 else None
    try:
        with nullcontext() if in_memory else tempfile.TemporaryDirectory() as scratch:
            bins = _bins(train, validation, training_set.features, params, scratch)
            with termination.rounds() if checkpoints else nullcontext():
                booster = _rounds(bins, params, start, history, engine, keeper, progress)
            kept = len(history) if engine.early_stopping_rounds is None else best_round(history) + 1
            rounds = int(booster.num_boosted_rounds()) - len(history) + kept
            booster = booster[:rounds]  # a booster of its own, which does not hold on to the matrices
            del bins  # XGBoost removes its own files
    except import_xgboost().core.XGBoostError as error:
        raise group.lost_rank(timeout_seconds=3.0) or _engine_error(error) from error
    booster.set_param({"device": device.CPU, "nthread": threads})  # as scoring will read it
    used = str(params["device"]).split(":")[0]
    card = MemberCard(
        kind=engine.kind,
        engine=engine_version(),
        # the number of threads changes no byte of the model: it is not part of it
        params={**decided, **declared(engine), "device": used},
        rounds=rounds,
        validation_auc=history[kept - 1],
        event_weight=float(decided.get("scale_pos_weight", 1.0)),
    )
    return Fitted(
        member=BoostedTrees(booster), card=card, history=tuple(history), external_memory=not in_memory, device=used
    )


def declared(engine: Boosting) -> dict[str, Any]:
    """What decides the trees beside XGBoost's own parameters, as a card holds it."""
    return {
        "num_rounds": engine.num_rounds,
        "early_stopping_rounds": engine.early_stopping_rounds,
        "checkpoint_every_rounds": engine.checkpoint_every_rounds,
    }


def engine_version() -> str:
    """The library and its version."""
    return f"xgboost {import_xgboost().__version__}"


def _bins(
    train: Shard, validation: Shard, features: tuple[Feature, ...], params: Mapping[str, Any], scratch: str | None
) -> tuple[Any, Any]:
    """Both shards as matrices of the engine."""
    of_train = matrix.build(train, features, params, cache=scratch and f"{scratch}/train")
    cache = scratch and f"{scratch}/validation"
    return of_train, matrix.build(validation, features, params, cache=cache, reference=of_train)


def _rounds(
    bins: tuple[Any, Any],
    params: dict[str, Any],
    start: bytes | None,
    history: list[float],
    engine: Boosting,
    keeper: Checkpoints | None,
    progress: Progress,
) -> Any:
    """Add rounds to those of ``start``, and their AUC to ``history``, until it is enough; return the booster."""
    train, validation = bins
    booster = import_xgboost().Booster(params, list(bins), model_file=bytearray(start) if start else None)
    first = len(history)
    before = int(booster.num_boosted_rounds()) - first
    progress.start(history, engine.num_rounds)
    while len(history) < engine.num_rounds and not stalled(history, engine.early_stopping_rounds):
        done = len(history)
        if done % engine.checkpoint_every_rounds == 0 and done > first:
            _restart_sampling(booster)
            if keeper is not None:
                keeper.save(Checkpoint(history=tuple(history), state=bytes(booster.save_raw("ubj"))))
            termination.exit_if_terminating()
        booster.update(train, before + done)
        predictions = booster.predict(validation)
        history.append(auc_over_ranks(validation.get_label(), predictions, after=f"round {done + 1}"))
        progress.round_done(history)
    return booster


def _restart_sampling(booster: Any) -> None:
    """Forget where the column sampler is, as a booster that is loaded from a checkpoint does not know it either.

    Rows are sampled by seed and round (``seed_per_iteration``), but the sampler of columns lives in the tree updater
    and counts on; nothing in the saved model says how far it is. Changing ``tree_method`` makes XGBoost make its
    updaters anew, while the cached predictions stay (loading the model would compute them again, for all trees and
    rows).
    """
    booster.set_param({"tree_method": "approx"})
    booster.save_config()  # parameters take effect when they are next needed
    booster.set_param({"tree_method": "hist"})


def engine_params(engine: Boosting, seed: int) -> dict[str, Any]:
    """The use case's parameters, with those that Nightjar decides."""
    return {
        "objective": "binary:logistic",
        **{name: value for name, value in engine.params.items() if name != "eval_metric"},
        "tree_method": "hist",
        "disable_default_eval_metric": True,  # its AUC over ranks is a mean of local ones; auc_over_ranks is exact
        "seed": seed,
        "seed_per_iteration": True,  # a round's sample must not depend on the process that trains it
    }


def _engine_error(error: Exception) -> TrainingError:
    # the engine's message holds a C++ stack; its last reason is what a person can use
    lines = [line.strip(" -") for line in str(error).splitlines()]
    reasons = [line for line in lines if line and "[bt]" not in line and "Stack trace" not in line]
    return TrainingError(
        f"XGBoost gave up: {reasons[-1] if reasons else 'no reason given'}",
        where="params of the use case's Boosting, or a rank that is gone",
        fix="read the log of the ranks above; check its params",
    )
