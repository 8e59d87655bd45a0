"""Smaller models made from a trained one: the network in 8 bits, the network with fewer units, one small booster."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nightjar.declaration.training import Compression
from nightjar.declaration.training import Network as NetworkEngine
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.progress import Progress, silent
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.boosting.fit import boost
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.engines.network.fit import fit_network
from nightjar.training.engines.network.graph import STEP, member_of, weights_of
from nightjar.training.engines.network.model import Network
from nightjar.training.ensemble.members import Ensemble, answers_to, combine
from nightjar.training.model import blend

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 63
"""Largest whole number of a weight. The product with an activation of 8 bits adds two such pairs in 16 bits on
processors without VNNI, which cuts at 32767; 2 x 255 x 63 stays below, so that every processor answers the same."""
_TIMED_ROWS = 20_000
_TIMES = 3


@dataclass(frozen=True, kw_only=True)
class Small:
    """A smaller model; the same on every rank, but for predictions and speed.

    Attributes:
        name: How it was made smaller.
        members: What answers; their weights are those of ``ensemble``.
        ensemble: How they answer together.
        rows_per_second: Rows that it answers, on one thread of this rank.
        full_rows_per_second: Rows that the whole model answers, likewise.
    """

    name: Compression
    members: tuple[Fitted, ...]
    ensemble: Ensemble
    rows_per_second: float
    full_rows_per_second: float

    @property
    def cards(self) -> tuple[MemberCard, ...]:
        """Of its members, with their weights."""
        weighted = zip(self.members, self.ensemble.weights, strict=True)
        return tuple(replace(one.card, weight=weight) for one, weight in weighted)


@dataclass(frozen=True, kw_only=True)
class Rank:
    """What a rank makes smaller models of.

    Attributes:
        train: Its training rows.
        validation: Its validation rows, on which weights and calibration of a smaller model are fitted.
        training_set: The matrix's columns, and the recipe.
        group: The ranks.
        threads: Threads of this rank.
    """

    train: Shard
    validation: Shard
    training_set: TrainingSet
    group: Group
    threads: int


def compress(full: tuple[Fitted, ...], ensemble: Ensemble, rank: Rank) -> tuple[Small, ...]:
    """Make what the recipe's ``compression`` names; all ranks call it, inside the collective.

    Args:
        full: What the engines have trained.
        ensemble: How they answer together.
        rank: This rank's rows.
    """
    found = []
    for name in rank.training_set.recipe.compression:
        members = _members(name, full, ensemble, rank)
        together = combine(members, rank.validation, rank.training_set.recipe, threads=rank.threads, name=name)
        full_speed, speed = _speeds((full, ensemble), (members, together), rank.validation)
        found.append(
            Small(
                name=name,
                members=members,
                ensemble=together,
                rows_per_second=speed,
                full_rows_per_second=full_speed,
            )
        )
    return tuple(found)


def _members(name: Compression, full: tuple[Fitted, ...], ensemble: Ensemble, rank: Rank) -> tuple[Fitted, ...]:
    """The members of one smaller model, each with a card that says so."""
    if name == "distilled":
        student = distilled(full, ensemble, rank)
        # what a network answers depends on the number of threads that trained it
        taught = {"threads": rank.threads} if any(isinstance(one.member, Network) for one in full) else {}
        return (_described(student, name, **taught),)
    return tuple(
        _described(_smaller(name, one, rank), name) if isinstance(one.member, Network) else one for one in full
    )


def _smaller(name: Compression, full: Fitted, rank: Rank) -> Fitted:
    """A network in 8 bits, or without its weakest units and trained again."""
    network = full.member
    if not isinstance(network, Network):
        raise TypeError(f"{name} makes networks smaller, not a {type(network).__name__}")
    if name == "int8":
        return replace(full, member=int8(network))
    return fine_tuned(pruned(network, rank.training_set.recipe.pruning.share), rank)


def fine_tuned(network: Network, rank: Rank) -> Fitted:
    """Train a pruned network on, over all ranks, as its engine was trained: what is left takes over what was removed.

    With the learning rates of its own training (Renda, Frankle and Carbin, 2020, Comparing rewinding and fine-tuning in
    neural network pruning).
    """
    recipe = rank.training_set.recipe
    declared = next(engine for engine in recipe.engines if isinstance(engine, NetworkEngine))
    epochs = recipe.pruning.epochs
    return fit_network(
        rank.train,
        rank.validation,
        rank.training_set,
        replace(declared, epochs=epochs, early_stopping_epochs=epochs),
        group=rank.group,
        threads=rank.threads,
        checkpoints=None,
        progress=Progress("pruned", rank.training_set.train.rows, silent, silent),
        start=network,
    )


def int8(member: Network) -> Network:
    """The network with its embeddings and hidden layers in 8 bits; the last layer, which is one row, stays.

    A weight is a whole number of steps, with a step for each output (Jacob et al., Quantization and Training of Neural
    Networks, 2018, without zero points); what comes into a layer is counted in steps of its own row's.
    """
    import numpy as np

    kept: dict[str, NDArray[Any]] = {}
    for name, weight in weights_of(member).items():
        if not name.startswith(("embeddings.", "hidden.")) or not name.endswith(".weight"):
            kept[name] = weight
            continue
        step = np.maximum(np.abs(weight).max(axis=1), np.finfo(np.float32).tiny * LARGEST) / np.float32(LARGEST)
        kept[name] = np.round(weight / step[:, None]).astype(np.int8)
        kept[f"{name}{STEP}"] = step.astype(np.float32)
    return member_of(member.architecture, kept)


def pruned(member: Network, share: float) -> Network:
    """The network without those units of each hidden layer whose weights are smallest: smaller matrices.

    A unit's size is the product of the norms of what comes in and what goes out, and of its normalisation's weight.

    Args:
        member: A trained network.
        share: Of each layer's units that are left out, from 0 and below 1; one unit always stays.
    """
    import numpy as np

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


def distilled(full: tuple[Fitted, ...], ensemble: Ensemble, rank: Rank) -> Fitted:
    """The recipe's student, fitted to what the whole model answers on the training rows (Hinton, Vinyals and Dean,
    Distilling the Knowledge in a Neural Network, 2015); all ranks call it, inside the collective."""
    answered = Shard(columns=rank.train.columns)
    for matrix, _ in rank.train.batches():
        answered.append(matrix, _answers(full, ensemble, matrix, rank.threads).astype("float32"))
    recipe = rank.training_set.recipe
    plain = replace(recipe, balance_classes=False)  # the answers have their probabilities already
    return boost(
        answered,
        rank.validation,
        replace(rank.training_set, recipe=plain),
        recipe.student,
        group=rank.group,
        threads=rank.threads,
        checkpoints=None,
        progress=Progress("distilled", rank.training_set.train.rows, silent, silent),
    )


def sizes(members: tuple[Member, ...]) -> Mapping[str, int]:
    """Bytes of the members' files, by name."""
    return {name: len(data) for member in members for name, data in member.content().items()}


def _described(small: Fitted, name: Compression, **more: object) -> Fitted:
    """The member with a card that says how it was made smaller."""
    return replace(small, card=replace(small.card, params={**small.card.params, "compression": name, **more}))


def _answers(
    members: tuple[Fitted, ...], ensemble: Ensemble, matrix: NDArray[np.float32], threads: int
) -> NDArray[np.float64]:
    return ensemble.calibrator.apply(blend(answers_to(members, matrix, threads=threads), ensemble.weights))


def _speeds(
    full: tuple[tuple[Fitted, ...], Ensemble], small: tuple[tuple[Fitted, ...], Ensemble], validation: Shard
) -> tuple[float, float]:
    """Rows that each of two models answers in a second, on one thread, of the first :data:`_TIMED_ROWS` or so.

    The best of :data:`_TIMES`, taken in turns, so that what else the machine does meanwhile slows both down.
    """
    import numpy as np

    matrices: list[NDArray[np.float32]] = []
    for matrix, _ in validation.batches():
        matrices.append(matrix)
        if sum(map(len, matrices)) >= _TIMED_ROWS:
            break
    rows, best = np.concatenate(matrices), [math.inf, math.inf]
    for _ in range(_TIMES):
        for place, (members, ensemble) in enumerate((full, small)):
            started = time.perf_counter()
            _answers(members, ensemble, rows, threads=1)
            best[place] = min(best[place], time.perf_counter() - started)
    return len(rows) / best[0], len(rows) / best[1]
