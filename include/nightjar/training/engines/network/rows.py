"""The rows of a shard as a network learns from them: mixed anew in each epoch, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from nightjar.training.data.shards import Shard

if TYPE_CHECKING:
    import numpy as np

    from nightjar.training.data.shards import Batch

BUFFER_ROWS = 1 << 17
"""Rows that are mixed with each other; with those of one more day, all that is in memory."""


def epoch(shard: Shard, *, rows: int, steps: int, seed: Sequence[int]) -> Iterator[Batch]:
    """``steps`` batches of ``rows`` rows: days in random order, and rows mixed within a buffer of several days.

    Args:
        shard: This rank's rows; at least ``rows * steps``.
        rows: Of one step.
        steps: Of the epoch, the same number on each rank.
        seed: What the order follows from, and nothing else.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    days = shard.view(random.permutation(shard.batch_count).tolist()).batches()
    return islice(_cut(_mixed(days, random), rows), steps)


def _mixed(days: Iterable[Batch], random: np.random.Generator) -> Iterator[Batch]:
    """Buffers of at least :data:`BUFFER_ROWS` rows, but for the last, each in random order."""
    held: list[Batch] = []
    for day in days:
        held.append(day)
        if sum(len(labels) for _, labels in held) >= BUFFER_ROWS:
            yield _mix(held, random)
            held = []
    if held:
        yield _mix(held, random)


def _mix(held: Sequence[Batch], random: np.random.Generator) -> Batch:
    matrix, labels = _joined(held)
    order = random.permutation(len(labels))
    return matrix[order], labels[order]


def _cut(buffers: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """Batches of ``rows`` rows; what is left of a buffer goes before the next; the last rest is left out."""
    rest: list[Batch] = []
    for buffer in buffers:
        matrix, labels = _joined([*rest, buffer])
        whole = len(labels) - len(labels) % rows
        for start in range(0, whole, rows):
            yield matrix[start : start + rows], labels[start : start + rows]
        rest = [(matrix[whole:], labels[whole:])]


def _joined(batches: Sequence[Batch]) -> Batch:
    import numpy as np

    return np.concatenate([matrix for matrix, _ in batches]), np.concatenate([labels for _, labels in batches])
