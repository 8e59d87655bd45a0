"""Batches of whole groups in random order, and the loss over their items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nightjar.problems.arrays import group_ids, targets
from nightjar.training.data.shards import Shard
from nightjar.training.engines.network.rows import buffered

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from nightjar.training.data.shards import Batch


@dataclass(frozen=True, kw_only=True)
class GroupBatch:
    """Rows of whole groups, each with a relevant item.

    Attributes:
        matrix: Encoded rows (rows x features).
        gains: Gain of each row: 2 to its relevance, minus 1.
        groups: Number of each row's group, from 0, ascending.
    """

    matrix: NDArray[np.float32] = field(repr=False)
    gains: NDArray[np.float32] = field(repr=False)
    groups: NDArray[np.int64] = field(repr=False)


def epoch(shard: Shard, *, rows: int, seed: Sequence[int]) -> Iterator[GroupBatch]:
    """Yield each group with a relevant item once: days in random order, groups shuffled within several days.

    Args:
        shard: The rows to fit, sorted by group within a day.
        rows: Rows of a batch, which ends with the group that exceeds them.
        seed: Determines the order completely.
    """
    random = np.random.default_rng(seed)
    for days in buffered(shard.view(random.permutation(shard.batch_count).tolist()).batches()):
        yield from _shuffled(days, rows, random)


def _shuffled(days: Sequence[Batch], rows: int, random: np.random.Generator) -> Iterator[GroupBatch]:
    matrix, labels = map(np.concatenate, zip(*days, strict=True))
    groups, gains = group_ids(labels), np.exp2(targets(labels)) - 1
    has_relevant = np.bincount(groups, gains) > 0
    place = random.permutation(len(has_relevant))
    order = np.argsort(place[groups], kind="stable")
    order = order[has_relevant[groups[order]]]
    is_first = np.diff(groups[order], prepend=-1) != 0
    starts = np.flatnonzero(is_first)
    begins = starts[np.diff(starts // rows, prepend=-1) > 0]  # the first group that starts in each window of rows
    for begin, end in pairwise([*begins.tolist(), len(order)]):
        part = order[begin:end]
        yield GroupBatch(matrix=matrix[part], gains=gains[part], groups=np.cumsum(is_first[begin:end]) - 1)


def listwise_loss(scores: torch.Tensor, gains: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Return ListNet's loss with top-one probabilities, the mean over groups.

    Cross entropy between each item's share of the group's gains and the softmax of its scores: Cao et al., 2007,
    Learning to rank: from pairwise approach to listwise approach, section 4.3. Labels become probabilities by the gains
    of the nDCG instead of exponentials, so that an item that is not relevant has probability 0 (Bruch et al., 2019, An
    analysis of the softmax cost function for learning to rank, which bounds the nDCG by this loss).

    Args:
        scores: Score of each row.
        gains: Gain of each row; those of a group have a positive sum.
        groups: Number of each row's group, from 0, ascending.
    """
    import torch

    count = int(groups[-1]) + 1
    zeros = scores.new_zeros(count)
    highest = torch.full_like(zeros, -torch.inf).scatter_reduce(0, groups, scores.detach(), "amax")
    shifted = scores - highest[groups]
    logarithms = shifted - zeros.index_add(0, groups, shifted.exp()).log()[groups]
    shares = gains / zeros.index_add(0, groups, gains)[groups]
    return -(shares * logarithms).sum() / count
