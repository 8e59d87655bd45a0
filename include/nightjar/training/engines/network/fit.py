"""Train a network over all ranks, with an exact validation metric, early stopping and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.declaration.network import Network
from nightjar.protocol.errors import TrainingError, first_line
from nightjar.training.data.moments import moments
from nightjar.training.data.shards import Shard
from nightjar.training.data.weighting import class_weights
from nightjar.training.distributed import device, termination
from nightjar.training.distributed.checkpoint import Checkpoint
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.libraries import import_xgboost, require_torch
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.engines.network import model as network
from nightjar.training.engines.network.graph import member_of, weights_of
from nightjar.training.engines.network.heads import head_of
from nightjar.training.engines.network.model import Architecture, Output
from nightjar.training.engines.network.module import build_module, copied_weights, freeze, put_weights
from nightjar.training.engines.network.optimization import make_optimizer
from nightjar.training.engines.network.ranks import distribute, process_group
from nightjar.training.engines.network.state import dump_state, restore_state
from nightjar.training.engines.network.trainer import Steps, Trainer

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]


def fit(declared: Network, context: TrainingContext) -> Fitted:
    """Train a network on the shards of all ranks; see :class:`nightjar.training.engines.registry.Engine`.

    A warm start begins with the weights of ``context.start``, and keeps them when no epoch is better. An epoch depends
    only on the seed, the rank and its number. A training resumed from a checkpoint therefore gives the same weights,
    bit by bit on the CPU with the same number of threads.
    """
    require_torch()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns of find_unused_parameters, which is intended
    import torch

    group, checkpoints, progress, metric = context.group, context.checkpoints, context.progress, context.metric
    recipe = context.training_set.recipe
    torch.set_num_threads(context.threads)
    device_name = device.choose(group)
    event_weight = context.event_weight()
    weights = class_weights(recipe, event_weight)
    torch.manual_seed(recipe.seed)
    start = _as_network(context.start).architecture.output if context.start else None
    head = head_of(recipe.problem, declared, context.train, event_weight, start)
    architecture, module = _first_module(context, declared, head.output)
    if context.base is not None and recipe.base is not None:
        freeze(module, recipe.base.frozen_layers)
    module = module.to(device_name)
    optimizer = make_optimizer(module, declared)
    writer = checkpoints if group.contract.rank == 0 else None
    steps = _steps(context.train, declared, group)
    try:
        with termination.rounds() if checkpoints else nullcontext(), process_group(group, device_name):
            trainer = Trainer(
                context=context,
                engine=declared,
                head=head,
                module=module,
                distributed=distribute(module, group, device_name),
                optimizer=optimizer,
                device=device_name,
                steps=steps,
            )
            first = copied_weights(module)
            base_score = trainer.score(weights, after="the base's training") if context.base else None
            peak = trainer.find_rate()
            checkpoint = checkpoints.agree(group) if checkpoints else None
            history = list(checkpoint.history) if checkpoint else []
            best = restore_state(checkpoint, module, optimizer) if checkpoint else first
            progress.start(history, declared.epochs)
            while len(history) < declared.epochs and not metric.stalled(history, declared.early_stopping_epochs):
                number = len(history)
                trainer.train_epoch(number, peak)
                history.append(trainer.score(weights, after=f"epoch {number + 1}"))
                if metric.best_round(history) == number:
                    best = copied_weights(module)
                progress.round_done(history)
                if writer is not None and (
                    len(history) % declared.checkpoint_every_epochs == 0 or termination.is_termination_requested()
                ):
                    writer.save(Checkpoint(history=tuple(history), state=dump_state(module, optimizer, best)))
                termination.exit_if_terminating()
    except (
        RuntimeError,
        import_xgboost().core.XGBoostError,
    ) as error:  # the second: summing the validation metric
        raise group.lost_rank(timeout_seconds=3.0) or _training_failed(error) from error
    rounds = metric.best_round(history) + 1
    score = history[rounds - 1]
    if base_score is not None and metric.metric.best((base_score, score)) == base_score:
        best, rounds, score = first, 0, base_score
    kind = device_name.split(":")[0]
    card = MemberCard(
        name=declared.name,
        kind=declared.kind,
        engine=library_version(),
        # with the number of threads: it changes the order of sums and so the weights
        params={
            **_declared_values(declared),
            "learning_rate": peak,
            "pos_weight": event_weight,
            "device": kind,
            "threads": context.threads,
        },
        rounds=rounds,
        validation_score=score,
        class_weights=weights,
    )
    return Fitted(
        member=member_of(architecture, best), card=card, history=tuple(history), external_memory=False, device=kind
    )


def library_version() -> str:
    """Return name and version of the library.

    Raises:
        ConfigurationError: when it is not installed.
    """
    require_torch()
    return f"torch {metadata.version('torch')}"


def _declared_values(engine: Network) -> dict[str, Any]:
    """Return the declaration as JSON values for the card."""
    params = asdict(engine)
    for name in ("name", "space"):
        del params[name]
    return {**params, "hidden": list(engine.hidden)}


def obstacle(declared: Network, card: MemberCard, member: Member) -> str:
    """Return which widths of a member differ from the declared ones, judged by its network and not by its card."""
    if not isinstance(member, network.Network):
        return ""
    expected = {"hidden": list(declared.hidden), "embedding_width": declared.embedding_width}
    trained = {"hidden": list(member.architecture.hidden), "embedding_width": card.params.get("embedding_width")}
    problems = [f"{name} {trained[name]}, not {value}" for name, value in expected.items() if trained[name] != value]
    return f"its network has {' and '.join(problems)}" if problems else ""


def for_columns(declared: Network, old_columns: Sequence[str], new_columns: Sequence[str]) -> Network:
    """Return the declaration as it is: nothing in it depends on columns."""
    return declared


def _extend(base: network.Network, values: Sequence[int | None]) -> tuple[Architecture, Weights]:
    """Return the base's architecture and weights, extended for vocabularies with added values.

    The embedding of a new category starts as that of the unknown category, which the base has used for it.

    Args:
        base: A trained network.
        values: For each column, the current size of its vocabulary; None for a number.
    """
    weights = weights_of(base)
    for number, column in enumerate(base.architecture.categorical):
        name = f"embeddings.{number}.weight"
        new = (values[column] or 0) - (base.architecture.values[column] or 0)
        weights[name] = np.concatenate([weights[name], np.repeat(weights[name][:1], new, axis=0)])
    return replace(base.architecture, values=tuple(values)), weights


def _first_module(context: TrainingContext, engine: Network, output: Output) -> tuple[Architecture, torch.nn.Module]:
    """Return architecture and module, with the weights of ``context.start`` if given, else random weights."""
    training_set = context.training_set
    values = tuple(
        len(training_set.categories[feature.name]) if feature.kind == "categorical" else None
        for feature in training_set.features
    )
    if context.start is None:
        architecture = _architecture(context.train, training_set.features, values, engine, output)
        return architecture, build_module(architecture, engine.dropout)
    architecture, weights = _extend(_as_network(context.start), values)
    module = build_module(architecture, engine.dropout)
    put_weights(module, weights)
    return architecture, module


def _as_network(member: Member) -> network.Network:
    if not isinstance(member, network.Network):
        raise TypeError(f"a network continues a network, not a {type(member).__name__}")
    return member


def _architecture(
    train: Shard, features: tuple[Feature, ...], values: tuple[int | None, ...], engine: Network, output: Output
) -> Architecture:
    """Return the architecture for these features, with moments of all ranks' training rows."""
    means, scales = moments(lambda: (matrix for matrix, _ in train.batches()), features)
    return Architecture.of(
        values, means, scales, embedding_width=engine.embedding_width, hidden=engine.hidden, output=output
    )


def _steps(train: Shard, engine: Network, group: Group) -> Steps:
    """Return the steps of an epoch, limited by the rank with the fewest rows."""
    fewest = min(group.exchange(train.rows))
    rows = min(max(engine.batch_size // group.contract.world_size, 1), fewest)
    batches = fewest // rows
    accumulated = min(engine.accumulated_batches, batches)
    return Steps(rows=rows, batches=batches - batches % accumulated, accumulated=accumulated)


def _training_failed(error: Exception) -> TrainingError:
    return TrainingError(
        f"the network's training failed: {first_line(error)}",
        where="the network of the use case's training, or a lost rank",
        fix="read the log of the ranks above",
    )
