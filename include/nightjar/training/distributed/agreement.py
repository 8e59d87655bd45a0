"""Checks that all ranks make together, before they train; an error raises on every rank."""

from __future__ import annotations

from collections import Counter

from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard, check_counts
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.rendezvous import Group


def check_same_data(group: Group, training_set: TrainingSet, *, where: str) -> None:
    """Check that all ranks have read the same training set.

    Args:
        group: The ranks.
        training_set: The training set that this rank has read.
        where: URI of the training set.

    Raises:
        TrainingError: naming the rank and the tables that differ.
    """
    first, *rest = group.exchange({"sha256": training_set.sha256, **training_set.tables})
    for rank, values in enumerate(rest, start=1):
        if differing := [
            f"{name} {values.get(name)}, not {value}" for name, value in first.items() if values.get(name) != value
        ]:
            raise TrainingError(
                f"rank {rank} has read another training set than rank 0: {', '.join(differing)}",
                where=where,
                how_many=sum(values != first for values in rest),
                fix="make sure that no other run writes this folder; clear freeze_training_set of this run, then train",
            )


def check_shards(group: Group, training_set: TrainingSet, train: Shard, validation: Shard, *, where: str) -> None:
    """Check that every rank has rows and that all together have the frozen ones.

    Args:
        group: The ranks.
        training_set: The frozen training set.
        train: This rank's rows to fit.
        validation: This rank's rows for early stopping.
        where: URI of the training set.

    Raises:
        TrainingError: naming the ranks without rows.
        RowCountError: when the rows differ from the frozen ones.
    """
    counts = group.exchange([[shard.rows, shard.labels, shard.left_out] for shard in (train, validation)])
    for name, split, position in (("train", training_set.train, 0), ("validation", training_set.validation, 1)):
        empty = [rank for rank, count in enumerate(counts) if not count[position][0]]
        if empty:
            raise TrainingError(
                f"rank {', '.join(map(str, empty))} has no {name} rows: {len(split.days)} days for {len(counts)} ranks",
                where=where,
                how_many=len(empty),
                fix="train with fewer ranks (world_size of the use case), or on more nights",
            )
        labels: Counter[str] = Counter()
        for count in counts:
            labels.update(count[position][1])
        read = sum(count[position][0] + count[position][2] for count in counts)
        check_counts(name, split, read, labels, where=where)
