"""Shuffled batches of a shard's rows for each epoch, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from nightjar.training.data.shards import Shard

if TYPE_CHECKING:
    from nightjar.training.data.shards import Batch, WeightedBatch

    AnyBatch = TypeVar("AnyBatch", Batch, WeightedBatch)

BUFFER_ROWS = 1 << 17
"""Rows of a shuffle buffer; memory holds at most these and one more day."""


def epoch(shard: Shard, *, rows: int, steps: int, seed: Sequence[int]) -> Iterator[WeightedBatch]:
    """Yield ``steps`` batches of ``rows`` rows: days in random order, rows shuffled within a buffer of several days.

    Args:
        shard: This rank's rows; at least ``rows * steps``.
        rows: Rows of one step.
        steps: Steps of the epoch, equal on all ranks.
        seed: Determines the order completely.
    """
    random = np.random.default_rng(seed)
    days = shard.view(random.permutation(shard.batch_count).tolist()).weighted_batches()
    return islice(_cut(_shuffled(days, random), rows), steps)


def _shuffled(days: Iterable[WeightedBatch], random: np.random.Generator) -> Iterator[WeightedBatch]:
    """Yield shuffled buffers."""
    for buffer in buffered(days):
        yield _shuffle(buffer, random)


def buffered(days: Iterable[AnyBatch]) -> Iterator[list[AnyBatch]]:
    """Yield days together that have at least :data:`BUFFER_ROWS` rows, except the last."""
    buffer: list[AnyBatch] = []
    for day in days:
        buffer.append(day)
        if sum(len(batch[1]) for batch in buffer) >= BUFFER_ROWS:
            yield buffer
            buffer = []
    if buffer:
        yield buffer


def _shuffle(buffer: Sequence[WeightedBatch], random: np.random.Generator) -> WeightedBatch:
    matrix, labels, weights = _joined(buffer)
    order = random.permutation(len(labels))
    return matrix[order], labels[order], weights[order]


def _cut(buffers: Iterable[WeightedBatch], rows: int) -> Iterator[WeightedBatch]:
    """Yield batches of ``rows`` rows; the rest of a buffer precedes the next; the last rest is dropped."""
    rest: list[WeightedBatch] = []
    for buffer in buffers:
        matrix, labels, weights = _joined([*rest, buffer])
        end = len(labels) - len(labels) % rows
        for start in range(0, end, rows):
            part = slice(start, start + rows)
            yield matrix[part], labels[part], weights[part]
        rest = [(matrix[end:], labels[end:], weights[end:])]


def _joined(batches: Sequence[WeightedBatch]) -> WeightedBatch:
    matrices, labels, weights = zip(*batches, strict=True)
    return np.concatenate(matrices), np.concatenate(labels), np.concatenate(weights)
