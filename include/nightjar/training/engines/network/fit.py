"""Train a network over all ranks, with an exact validation metric, early stopping and checkpoints."""

from __future__ import annotations

import math
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from datetime import timedelta
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.declaration.training import Network
from nightjar.protocol.errors import TrainingError, first_line
from nightjar.training.data.class_weight import event_weight
from nightjar.training.data.moments import moments
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed import device, termination
from nightjar.training.distributed.checkpoint import Checkpoint
from nightjar.training.distributed.collective import COLLECTIVE_SECONDS
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.libraries import import_xgboost, require_torch
from nightjar.training.engines.member import Member, MemberCard, without_weight
from nightjar.training.engines.network import model as network
from nightjar.training.engines.network import rows as network_rows
from nightjar.training.engines.network.graph import member_of, weights_of
from nightjar.training.engines.network.model import Architecture
from nightjar.training.engines.network.module import build_module, copied_weights, freeze, put_weights
from nightjar.training.model import TabularModel

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]


def fit(declared: Network, context: TrainingContext) -> Fitted:
    """Train a network on the shards of all ranks; see :class:`nightjar.training.engines.registry.Engine`.

    A warm start begins with the base's weights.
    """
    return fit_from(_network_of(context.base) if context.base else None, declared, context)


def fit_from(start: network.Network | None, engine: Network, context: TrainingContext) -> Fitted:
    """Train from the weights of ``start``, a network with this training's features; from random ones for None.

    An epoch depends only on the seed, the rank and its number. A training resumed from a checkpoint therefore gives the
    same weights, bit by bit on the CPU with the same number of threads.

    Raises:
        ConfigurationError: when torch is not installed.
        TrainingError: when a rank or torch fails, or a loss is not finite.
        StorageFullError: when a checkpoint cannot be saved.
    """
    require_torch()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns of find_unused_parameters, which is intended
    import torch

    train, group, checkpoints, progress = context.train, context.group, context.checkpoints, context.progress
    recipe, metric = context.training_set.recipe, context.metric
    torch.set_num_threads(context.threads)
    device_name = device.choose(group)
    seed = recipe.seed
    weight = event_weight(train, group) if recipe.balance_classes else 1.0
    torch.manual_seed(seed)
    architecture, module = _first_module(train, context.training_set, engine, start)
    if context.base is not None and recipe.base is not None:
        freeze(module, recipe.base.frozen_layers)
    module = module.to(device_name)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=engine.learning_rate,
        weight_decay=engine.weight_decay,
    )
    checkpoint = checkpoints.agree(group) if checkpoints else None
    history = list(checkpoint.history) if checkpoint else []
    best = _restore(checkpoint, module, optimizer) if checkpoint else copied_weights(module)
    writer = checkpoints if group.contract.rank == 0 else None
    rows, steps = _steps(train, engine, group)
    try:
        with termination.rounds() if checkpoints else nullcontext(), _process_group(group, device_name):
            distributed = _distribute(module, group, device_name)
            progress.start(history, engine.epochs)
            while len(history) < engine.epochs and not metric.stalled(history, engine.early_stopping_epochs):
                number = len(history)
                torch.manual_seed(_seed_of(seed, group.contract.rank, number))  # of dropout
                batches = network_rows.epoch(train, rows=rows, steps=steps, seed=[seed, group.contract.rank, number])
                rates = [_rate(number * steps + step, steps, engine) for step in range(steps)]
                losses = _train_epoch(distributed, optimizer, batches, rates, weight, engine.clip_norm, device_name)
                _check_losses(losses, group, number + 1)
                labels, probabilities = _predict(module, context.validation, device_name)
                corrected = without_weight(probabilities, weight)
                history.append(metric.over_ranks(labels, corrected, after=f"epoch {number + 1}"))
                if metric.best_round(history) == number:
                    best = copied_weights(module)
                progress.round_done(history)
                if writer is not None and (
                    len(history) % engine.checkpoint_every_epochs == 0 or termination.is_termination_requested()
                ):
                    writer.save(Checkpoint(history=tuple(history), state=_state(module, optimizer, best)))
                termination.exit_if_terminating()
    except (
        RuntimeError,
        import_xgboost().core.XGBoostError,
    ) as error:  # the second: summing the validation metric
        raise group.lost_rank(timeout_seconds=3.0) or _training_failed(error) from error
    kind = device_name.split(":")[0]
    rounds = metric.best_round(history) + 1
    card = MemberCard(
        kind=engine.kind,
        engine=library_version(),
        # with the number of threads: it changes the order of sums and so the weights
        params={
            **_declared_values(engine),
            "hidden": list(architecture.hidden),
            "pos_weight": weight,
            "device": kind,
            "threads": context.threads,
        },
        rounds=rounds,
        validation_score=history[rounds - 1],
        event_weight=weight,
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
    del params["space"]
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


def _network_of(base: TabularModel) -> network.Network:
    """Return the base's network."""
    return next(member for member in base.members if isinstance(member, network.Network))


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


def _first_module(
    train: Shard, training_set: TrainingSet, engine: Network, start: network.Network | None
) -> tuple[Architecture, torch.nn.Module]:
    """Return architecture and module, with the weights of ``start`` if given, else random weights."""
    values = tuple(
        len(training_set.categories[feature.name]) if feature.kind == "categorical" else None
        for feature in training_set.features
    )
    if start is None:
        architecture = _architecture(train, training_set.features, values, engine)
        return architecture, build_module(architecture, engine.dropout)
    architecture, weights = _extend(start, values)
    module = build_module(architecture, engine.dropout)
    put_weights(module, weights)
    return architecture, module


def _architecture(
    train: Shard, features: tuple[Feature, ...], values: tuple[int | None, ...], engine: Network
) -> Architecture:
    """Return the architecture for these features, with moments of all ranks' training rows."""
    means, scales = moments(lambda: (matrix for matrix, _ in train.batches()), features)
    return Architecture(
        values=values,
        widths=tuple(0 if n is None else max(1, min(engine.embedding_width, (n + 1) // 2)) for n in values),
        means=tuple(means.astype(np.float32).tolist()),
        scales=tuple(scales.astype(np.float32).tolist()),
        hidden=engine.hidden,
    )


def _steps(train: Shard, engine: Network, group: Group) -> tuple[int, int]:
    """Return rows per step of this rank, and steps per epoch, limited by the rank with the fewest rows."""
    fewest = min(group.exchange(train.rows))
    rows = min(max(engine.batch_size // group.contract.world_size, 1), fewest)
    return rows, fewest // rows


def _seed_of(seed: int, rank: int, epoch: int) -> int:
    """Return torch's seed for a training's seed, a rank and an epoch."""
    return int(np.random.SeedSequence([seed, rank, epoch]).generate_state(1)[0])


def _rate(step: int, steps: int, engine: Network) -> float:
    """Return the learning rate of a step: linear warm-up over the first epoch, then cosine decay.

    Loshchilov and Hutter, SGDR, 2017, without restarts.
    """
    if step < steps:
        return engine.learning_rate * (step + 1) / steps
    progress = (step - steps) / (steps * (engine.epochs - 1))
    return engine.learning_rate * (1 + math.cos(math.pi * progress)) / 2


@contextmanager
def _process_group(group: Group, device_name: str) -> Iterator[None]:
    """Join torch's process group; rank 0 listens only at its own address and sends the port through ``group``."""
    contract = group.contract
    if contract.world_size == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    on_gpu = device_name != device.CPU
    if on_gpu:
        torch.cuda.set_device(device_name)
    address, patience = socket.gethostbyname(contract.master_addr), timedelta(seconds=COLLECTIVE_SECONDS)
    # torch itself would listen on all addresses of the machine
    listener = socket.create_server((address, 0)) if contract.rank == 0 else None
    port = group.exchange(listener.getsockname()[1] if listener else None)[0]
    store = dist.TCPStore(  # type: ignore[attr-defined]
        address,
        port,
        contract.world_size,
        is_master=listener is not None,
        timeout=patience,
        master_listen_fd=listener.detach() if listener else None,
    )
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=contract.rank,
        world_size=contract.world_size,
        timeout=patience,
    )
    yield  # a failed rank exits: a clean shutdown would wait for lost ranks
    dist.destroy_process_group()


def _distribute(module: torch.nn.Module, group: Group, device_name: str) -> torch.nn.Module:
    """Return the module with gradients averaged over the ranks; compiled on a GPU."""
    import torch

    on_gpu = device_name != device.CPU
    if on_gpu and (shutil.which("cc") or shutil.which("gcc")):  # torch.compile needs a C compiler
        module = torch.compile(module)  # type: ignore[assignment]
    if group.contract.world_size == 1:
        return module
    # DDP reorders its buckets after the first step, which changes the order of sums for more than two ranks. A resumed
    # training has another first step. With find_unused_parameters DDP keeps the order.
    return torch.nn.parallel.DistributedDataParallel(
        module, device_ids=[torch.device(device_name).index] if on_gpu else None, find_unused_parameters=True
    )


def _train_epoch(
    distributed: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]],
    rates: list[float],
    event_weight: float,
    clip_norm: float,
    device_name: str,
) -> NDArray[np.float32]:
    """Train one epoch, one step for each of ``rates``; return this rank's loss at each step."""
    import torch

    distributed.train()
    pos_weight = torch.tensor(event_weight, device=device_name)
    losses = torch.empty(len(rates), device=device_name)  # read at the end, so that a GPU does not wait at each step
    for step, (rate, (matrix, labels)) in enumerate(zip(rates, batches, strict=True)):
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate
        rows, targets = torch.from_numpy(matrix).to(device_name), torch.from_numpy(labels).to(device_name)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=device_name != device.CPU):
            logits = distributed(rows)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=pos_weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(distributed.parameters(), clip_norm)
        optimizer.step()
        losses[step] = loss.detach()
    values: NDArray[np.float32] = losses.cpu().numpy()
    return values


def _check_losses(losses: NDArray[np.float32], group: Group, epoch: int) -> None:
    """Check that all losses are finite; raise the same error on all ranks, naming the first rank affected."""
    not_finite = np.flatnonzero(~np.isfinite(losses))
    first_steps = group.exchange(int(not_finite[0]) if len(not_finite) else None)
    if affected := [(step, rank) for rank, step in enumerate(first_steps) if step is not None]:
        step, rank = min(affected)
        raise TrainingError(
            f"the loss of rank {rank} is not finite in epoch {epoch}, from step {step + 1} of {len(losses)} on",
            where=f"training.engines of the use case, Network, rank {rank}",
            how_many=len(affected),
            fix="lower learning_rate, and check the features for infinite or very large values",
        )


def _predict(
    module: torch.nn.Module, shard: Shard, device_name: str
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the labels of a shard's rows and the network's current probabilities."""
    import torch

    module.eval()
    labels, probabilities = [], []
    with torch.inference_mode():
        for matrix, batch_labels in shard.batches():
            labels.append(batch_labels)
            for start in range(0, len(matrix), network_rows.BUFFER_ROWS):
                rows = torch.from_numpy(matrix[start : start + network_rows.BUFFER_ROWS]).to(device_name)
                probabilities.append(torch.sigmoid(module(rows)).cpu().numpy())
    return np.concatenate(labels), np.concatenate(probabilities).astype(np.float64)


def _state(module: torch.nn.Module, optimizer: torch.optim.Optimizer, best: Weights) -> bytes:
    """Return the state of the training as a safetensors file: weights, optimizer moments, best weights."""
    from safetensors.numpy import save

    arrays = {f"now.{name}": array for name, array in copied_weights(module).items()}
    arrays |= {f"best.{name}": array for name, array in best.items()}
    for number, moment in optimizer.state_dict()["state"].items():
        arrays |= {f"optimizer.{number}.{name}": value.cpu().numpy() for name, value in moment.items()}
    return bytes(save(arrays))


def _restore(checkpoint: Checkpoint, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Weights:
    """Restore module and optimizer from :func:`_state`; return the best weights."""
    import torch
    from safetensors.numpy import load

    parts: dict[str, dict[str, NDArray[np.float32]]] = {"now": {}, "best": {}, "optimizer": {}}
    for name, array in load(checkpoint.state).items():
        part, rest = name.split(".", 1)
        parts[part][rest] = array
    put_weights(module, parts["now"])
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in parts["optimizer"].items():
        number, moment = name.split(".")
        moments.setdefault(int(number), {})[moment] = torch.from_numpy(array)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return parts["best"]


def _training_failed(error: Exception) -> TrainingError:
    return TrainingError(
        f"the network's training failed: {first_line(error)}",
        where="the network of the use case's training, or a lost rank",
        fix="read the log of the ranks above",
    )
