"""Train two towers on one rank, with the gate's metric and early stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.two_tower import TwoTower
from nightjar.protocol.errors import TrainingError, first_line
from nightjar.training.distributed import device
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.libraries import require_torch
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.engines.network.model import Output
from nightjar.training.engines.network.module import copied_weights, predict_rows
from nightjar.training.engines.network.optimization import rate_of
from nightjar.training.engines.two_tower.groups import epoch, listwise_loss
from nightjar.training.engines.two_tower.model import TwoTowerModel
from nightjar.training.engines.two_tower.towers import build_graph, build_module, towers_of

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]

_CLIP_NORM = 1.0
"""Maximum norm of a gradient."""


def fit(declared: TwoTower, context: TrainingContext) -> Fitted:
    """Train on this rank's rows, the only ones; see :class:`nightjar.training.engines.registry.Engine`.

    On the CPU the same seed and the same number of threads give the same weights, bit by bit.
    """
    require_torch()
    import torch

    torch.set_num_threads(context.threads)
    torch.manual_seed(context.training_set.recipe.seed)
    device_name = device.choose(context.group)
    towers = towers_of(declared, context.training_set, context.train)
    try:
        module = build_module(towers, declared.dropout).to(device_name)
        history, best = _train(module, declared, context, device_name)
    except RuntimeError as error:
        raise TrainingError(
            f"the training of two towers failed: {first_line(error)}",
            where="TwoTower of the use case's training",
            fix="read the log above; give a smaller batch_size if memory ran out",
        ) from error
    rounds = context.metric.best_round(history) + 1
    kind = device_name.split(":")[0]
    params = {name: value for name, value in asdict(declared).items() if name not in ("name", "space")}
    card = MemberCard(
        name=declared.name,
        kind=declared.kind,
        engine=library_version(),
        params={
            **params,
            "group_features": list(declared.group_features),
            "item_features": list(declared.item_features),
            "device": kind,
            "threads": context.threads,  # it changes the order of sums and so the weights
        },
        rounds=rounds,
        validation_score=history[rounds - 1],
    )
    return Fitted(
        member=TwoTowerModel(graph=build_graph(towers, best)),
        card=card,
        history=tuple(history),
        external_memory=False,
        device=kind,
    )


def _train(
    module: torch.nn.Module, declared: TwoTower, context: TrainingContext, device_name: str
) -> tuple[list[float], Weights]:
    """Train until the last epoch or early stopping; return the metric of each epoch, and the best weights."""
    import torch

    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=declared.weight_decay)
    matrix, labels = map(np.concatenate, zip(*context.validation.batches(), strict=True))
    history: list[float] = []
    best = copied_weights(module)
    context.progress.start(history, declared.epochs)
    while len(history) < declared.epochs and not context.metric.stalled(history, declared.early_stopping_epochs):
        number = len(history)
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate_of(number, 1, declared.epochs, declared.learning_rate, "cosine")
        module.train()
        seed = [context.training_set.recipe.seed, number]
        for batch in epoch(context.train, rows=declared.batch_size, seed=seed):
            rows, gains, groups = (
                torch.from_numpy(array).to(device_name) for array in (batch.matrix, batch.gains, batch.groups)
            )
            optimizer.zero_grad()
            listwise_loss(module(rows), gains, groups).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), _CLIP_NORM)
            optimizer.step()
        scores = predict_rows(module, Output(), matrix, device_name).astype(np.float64)
        history.append(context.metric.over_ranks(labels, scores, after=f"epoch {number + 1}"))
        if context.metric.best_round(history) == number:
            best = copied_weights(module)
        context.progress.round_done(history)
    return history, best


def library_version() -> str:
    """Return name and version of the library.

    Raises:
        ConfigurationError: when it is not installed.
    """
    require_torch()
    return f"torch {metadata.version('torch')}"


def obstacle(declared: TwoTower, card: MemberCard, member: Member) -> str:
    """Return that it does not continue: a warm start with it is refused when it is declared."""
    return "two towers are trained from the start"


def for_columns(declared: TwoTower, old_columns: Sequence[str], new_columns: Sequence[str]) -> TwoTower:
    """Return the declaration: it names no columns by position."""
    return declared
