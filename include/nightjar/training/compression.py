"""Smaller models made from a trained one: the network in 8 bits, the network with fewer units, one small booster."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nightjar.contracts.training import Boosting, Compression
from nightjar.training.boosting import boost
from nightjar.training.ensemble import Ensemble, combine
from nightjar.training.fitted import Fitted
from nightjar.training.member import Member, MemberCard
from nightjar.training.model import blend
from nightjar.training.network import Network
from nightjar.training.network_graph import STEP, member_of, weights_of
from nightjar.training.progress import Progress, silent
from nightjar.training.rendezvous import Group
from nightjar.training.shards import Shard
from nightjar.training.training_set import TrainingSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 63
"""Largest whole number of a weight. The product with an activation of 8 bits adds two such pairs in 16 bits on
processors without VNNI, which cuts at 32767; 2 x 255 x 63 stays below, so that every processor answers the same."""
PRUNED_SHARE = 0.5
STUDENT = Boosting(params={"max_depth": 4, "eta": 0.2}, num_rounds=60, early_stopping_rounds=None)
"""What :func:`distilled` trains."""
_TIMED_ROWS = 20_000


@dataclass(frozen=True, kw_only=True)
class Small:
    """A smaller model; the same on every rank, but for predictions and speed.

    Attributes:
        name: How it was made smaller.
        cards: Of its members; their weights are those of ``ensemble``.
        members: What answers.
        ensemble: How they answer together.
        rows_per_second: Rows that it answers, on one thread of this rank.
        full_rows_per_second: Rows that the whole model answers, likewise.
    """

    name: Compression
    cards: tuple[MemberCard, ...]
    members: tuple[Member, ...]
    ensemble: Ensemble
    rows_per_second: float
    full_rows_per_second: float


def compress(
    engines: tuple[Fitted, ...],
    ensemble: Ensemble,
    train: Shard,
    validation: Shard,
    training_set: TrainingSet,
    *,
    group: Group,
    threads: int,
) -> tuple[Small, ...]:
    """What the recipe's ``compression`` names; all ranks call it, inside the collective.

    Args:
        engines: What was trained.
        ensemble: How it answers together.
        train: This rank's training rows.
        validation: Its validation rows, on which weights and calibration of a smaller model are fitted anew.
        training_set: The matrix's columns, and the recipe.
        group: The ranks.
        threads: Threads of this rank.
    """
    full = tuple(fitted.member for fitted in engines)
    cards = tuple(fitted.card for fitted in engines)
    names = training_set.recipe.compression
    if not names:
        return ()
    full_rows_per_second = _speed(full, ensemble, validation)
    found = []
    for name in names:
        if name == "distilled":
            student = distilled(full, ensemble, train, validation, training_set, group=group, threads=threads)
            members: tuple[Member, ...] = (student.member,)
            # what a network answers depends on the number of threads that trained it
            taught = {"threads": threads} if any(isinstance(member, Network) for member in full) else {}
            of_members: tuple[MemberCard, ...] = (_said(student.card, name, **taught),)
        else:
            make = int8 if name == "int8" else pruned
            members = tuple(make(member) if isinstance(member, Network) else member for member in full)
            of_members = tuple(
                _said(card, name) if isinstance(member, Network) else card
                for card, member in zip(cards, full, strict=True)
            )
        together = combine(members, validation, training_set.recipe, threads=threads, name=name)
        found.append(
            Small(
                name=name,
                cards=tuple(replace(c, weight=w) for c, w in zip(of_members, together.weights, strict=True)),
                members=members,
                ensemble=together,
                rows_per_second=_speed(members, together, validation),
                full_rows_per_second=full_rows_per_second,
            )
        )
    return tuple(found)


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


def pruned(member: Network, share: float = PRUNED_SHARE) -> Network:
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


def distilled(
    members: tuple[Member, ...],
    ensemble: Ensemble,
    train: Shard,
    validation: Shard,
    training_set: TrainingSet,
    *,
    group: Group,
    threads: int,
) -> Fitted:
    """A small booster fitted to what the whole model answers on the training rows (Hinton, Vinyals and Dean,
    Distilling the Knowledge in a Neural Network, 2015); all ranks call it, inside the collective."""
    answered = Shard(columns=train.columns)
    for matrix, _ in train.batches():
        answered.append(matrix, _answers(members, ensemble, matrix, threads).astype("float32"))
    plain = replace(training_set.recipe, balance_classes=False)  # the answers have their probabilities already
    return boost(
        answered,
        validation,
        replace(training_set, recipe=plain),
        STUDENT,
        group=group,
        threads=threads,
        checkpoints=None,
        progress=Progress("distilled", training_set.train.rows, silent, silent),
    )


def sizes(members: tuple[Member, ...]) -> Mapping[str, int]:
    """Bytes of the members' files, by name."""
    return {name: len(data) for member in members for name, data in member.content().items()}


def _said(card: MemberCard, name: Compression, **more: object) -> MemberCard:
    """The card of a member that was made smaller."""
    return replace(card, params={**card.params, "compression": name, **more})


def _answers(
    members: tuple[Member, ...], ensemble: Ensemble, matrix: NDArray[np.float32], threads: int
) -> NDArray[np.float64]:
    answers = [member.predict(matrix, threads=threads) for member in members]
    return ensemble.calibrator.apply(blend(answers, ensemble.weights))


def _speed(members: tuple[Member, ...], ensemble: Ensemble, validation: Shard) -> float:
    """Rows that are answered in a second, on one thread, of the first :data:`_TIMED_ROWS` or so; the better of two."""
    import numpy as np

    matrices: list[NDArray[np.float32]] = []
    for matrix, _ in validation.batches():
        matrices.append(matrix)
        if sum(map(len, matrices)) >= _TIMED_ROWS:
            break
    rows, best = np.concatenate(matrices), math.inf
    for _ in range(2):
        started = time.perf_counter()
        _answers(members, ensemble, rows, threads=1)
        best = min(best, time.perf_counter() - started)
    return len(rows) / best
