"""Compress a trained model: a network with 8-bit weights, a pruned network, or a small distilled booster."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.network import Network as NetworkEngine
from nightjar.declaration.training import Compression
from nightjar.problems.problem_type import ProblemType
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.progress import Progress, silent
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.engines.network.graph import STEP, member_of, weights_of
from nightjar.training.engines.network.model import Network
from nightjar.training.engines.registry import ENGINES
from nightjar.training.ensemble.members import Ensemble, combine, member_outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 63
"""Largest quantized weight. Processors without VNNI add two products with 8-bit activations in 16 bits, which saturate
at 32767; 2 x 255 x 63 stays below, so that predictions are the same on every processor."""
_TIMED_ROWS = 20_000
_TIMES = 3


@dataclass(frozen=True, kw_only=True)
class CompressedModel:
    """A compressed model; the same on every rank, except for predictions and speed.

    Attributes:
        name: The compression.
        members: Its members; their weights are those of ``ensemble``.
        ensemble: Weights and calibration of the members.
        rows_per_second: Its predictions per second, on one thread of this rank.
        full_rows_per_second: The same for the full model.
    """

    name: Compression
    members: tuple[Fitted, ...]
    ensemble: Ensemble
    rows_per_second: float
    full_rows_per_second: float

    @property
    def cards(self) -> tuple[MemberCard, ...]:
        """Cards of the members, with their weights."""
        weighted = zip(self.members, self.ensemble.weights, strict=True)
        return tuple(replace(member.card, weight=weight) for member, weight in weighted)


def compress(full: tuple[Fitted, ...], ensemble: Ensemble, context: TrainingContext) -> tuple[CompressedModel, ...]:
    """Make the models of the recipe's ``compression``; all ranks call it, inside the collective.

    Args:
        full: Members of the full model.
        ensemble: Weights and calibration of the full model.
        context: Rows, features and recipe of this rank.
    """
    models = []
    for name in context.training_set.recipe.compression:
        members = _members(name, full, ensemble, context)
        compressed = combine(
            members, context.validation, context.training_set.recipe, threads=context.threads, name=name
        )
        full_speed, speed = _speeds((full, ensemble), (members, compressed), context)
        models.append(
            CompressedModel(
                name=name,
                members=members,
                ensemble=compressed,
                rows_per_second=speed,
                full_rows_per_second=full_speed,
            )
        )
    return tuple(models)


def _members(
    name: Compression, full: tuple[Fitted, ...], ensemble: Ensemble, context: TrainingContext
) -> tuple[Fitted, ...]:
    """Return the members of one compressed model, with the compression in their cards."""
    if name == "distilled":
        student = distilled(full, ensemble, context)
        # the teacher network's predictions depend on its training threads
        params = {"threads": context.threads} if any(isinstance(fitted.member, Network) for fitted in full) else {}
        return (_with_compression(student, name, **params),)
    return tuple(
        _with_compression(_compress_network(name, fitted, context), name)
        if isinstance(fitted.member, Network)
        else fitted
        for fitted in full
    )


def _compress_network(name: Compression, full: Fitted, context: TrainingContext) -> Fitted:
    """Return the network with 8-bit weights, or pruned and fine-tuned."""
    network = full.member
    if not isinstance(network, Network):
        raise TypeError(f"{name} compresses networks, not a {type(network).__name__}")
    if name == "int8":
        return replace(full, member=int8(network))
    return pruned_and_tuned(full, network, context)


def pruned_and_tuned(full: Fitted, network: Network, context: TrainingContext) -> Fitted:
    """Prune a trained network and fine-tune it over all ranks, with the declared engine's parameters.

    The learning rates are those of the original training (Renda, Frankle and Carbin, 2020, Comparing rewinding and
    fine-tuning in neural network pruning).
    """
    recipe = context.training_set.recipe
    declared = next(
        engine for engine, _ in recipe.bagged if isinstance(engine, NetworkEngine) and engine.name == full.card.name
    )
    epochs = recipe.pruning.epochs
    smaller = pruned(network, recipe.pruning.share)
    fine_tuning = replace(declared, hidden=smaller.architecture.hidden, epochs=epochs, early_stopping_epochs=epochs)
    return ENGINES[declared.kind].fit(fine_tuning, replace(_side_context(context, "pruned"), start=smaller))


def int8(member: Network) -> Network:
    """Return the network with 8-bit embeddings and hidden layers; the last layer, a single row, stays in float32.

    Symmetric quantization with one step size for each output unit (Jacob et al., Quantization and Training of Neural
    Networks, 2018, without zero points); a layer's inputs are quantized with one step size for each row.
    """
    quantized: dict[str, NDArray[Any]] = {}
    for name, weight in weights_of(member).items():
        if not name.startswith(("embeddings.", "hidden.")) or not name.endswith(".weight"):
            quantized[name] = weight
            continue
        step = np.maximum(np.abs(weight).max(axis=1), np.finfo(np.float32).tiny * LARGEST) / np.float32(LARGEST)
        quantized[name] = np.round(weight / step[:, None]).astype(np.int8)
        quantized[f"{name}{STEP}"] = step.astype(np.float32)
    return member_of(member.architecture, quantized)


def pruned(member: Network, share: float) -> Network:
    """Return the network without the units of each hidden layer that have the smallest weights.

    A unit's size is the norm of its incoming weights, times the norm of its outgoing weights, times the absolute weight
    of its normalization.

    Args:
        member: A trained network.
        share: Share of each layer's units to remove, in [0, 1); at least one unit stays.
    """
    weights = dict(weights_of(member))
    hidden = []
    for layer, width in enumerate(member.architecture.hidden):
        last = layer + 1 == len(member.architecture.hidden)
        incoming, outgoing = f"hidden.{layer}.weight", "out.weight" if last else f"hidden.{layer + 1}.weight"
        size = np.linalg.norm(weights[incoming], axis=1) * np.linalg.norm(weights[outgoing], axis=0)
        size *= np.abs(weights[f"norms.{layer}.weight"])
        units = np.sort(np.argsort(-size, kind="stable")[: math.ceil(width * (1 - share))])
        for name in (incoming, f"hidden.{layer}.bias", f"norms.{layer}.weight", f"norms.{layer}.bias"):
            weights[name] = weights[name][units]
        weights[outgoing] = weights[outgoing][:, units]
        hidden.append(len(units))
    contiguous = {name: np.ascontiguousarray(weight) for name, weight in weights.items()}
    return member_of(replace(member.architecture, hidden=tuple(hidden)), contiguous)


def distilled(full: tuple[Fitted, ...], ensemble: Ensemble, context: TrainingContext) -> Fitted:
    """Train the recipe's student on the full model's predictions for the training rows.

    All ranks call it, inside the collective. Hinton, Vinyals and Dean (2015), Distilling the Knowledge in a Neural
    Network.
    """
    soft_labels = Shard(columns=context.train.columns, count_labels=context.train.count_labels)
    problem = context.metric.problem
    for matrix, _, weights in context.train.weighted_batches():
        predictions = _predict(full, ensemble, matrix, problem, context.threads)
        soft_labels.append(matrix, predictions.astype("float32"), weights=weights)
    recipe = context.training_set.recipe
    # the labels are corrected and calibrated probabilities already
    unbalanced = replace(recipe, balance_classes=False, rows=replace(recipe.rows, negative_share=1.0))
    training_set = replace(context.training_set, recipe=unbalanced)
    teaching_context = replace(_side_context(context, "distilled"), train=soft_labels, training_set=training_set)
    return ENGINES[recipe.student.kind].fit(recipe.student, teaching_context)


def _side_context(context: TrainingContext, name: Compression) -> TrainingContext:
    """Return the context of a training beside the main one: silent, without checkpoints and without a base."""
    progress = Progress(name, context.metric.metric, context.training_set.train.rows, silent, silent)
    return replace(context, progress=progress, checkpoints=None, base=None, start=None)


def sizes(members: tuple[Member, ...]) -> Mapping[str, int]:
    """Return file name to size in bytes of the members' files."""
    return {name: len(data) for member in members for name, data in member.content().items()}


def _with_compression(fitted: Fitted, name: Compression, **params: object) -> Fitted:
    """Return the member with the compression in its card."""
    return replace(fitted, card=replace(fitted.card, params={**fitted.card.params, "compression": name, **params}))


def _predict(
    members: tuple[Fitted, ...],
    ensemble: Ensemble,
    matrix: NDArray[np.float32],
    problem: ProblemType,
    threads: int,
) -> NDArray[np.float64]:
    return ensemble.calibrator.apply(problem.blend(member_outputs(members, matrix, threads=threads), ensemble.weights))


def _speeds(
    full: tuple[tuple[Fitted, ...], Ensemble],
    compressed: tuple[tuple[Fitted, ...], Ensemble],
    context: TrainingContext,
) -> tuple[float, float]:
    """Return rows per second of both models, on one thread, over about :data:`_TIMED_ROWS` rows.

    The best of :data:`_TIMES` runs; the models alternate, so that other load on the machine affects both.
    """
    matrices: list[NDArray[np.float32]] = []
    for matrix, _ in context.validation.batches():
        matrices.append(matrix)
        if sum(map(len, matrices)) >= _TIMED_ROWS:
            break
    rows, best = np.concatenate(matrices), [math.inf, math.inf]
    for _ in range(_TIMES):
        for position, (members, ensemble) in enumerate((full, compressed)):
            started = time.perf_counter()
            _predict(members, ensemble, rows, context.metric.problem, threads=1)
            best[position] = min(best[position], time.perf_counter() - started)
    return len(rows) / best[0], len(rows) / best[1]
