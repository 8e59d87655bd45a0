"""Metrics of rankings, from sums over groups. Numpy only.

Labels are encoded as rows x 4: the relevance, whether the row is the first of its group
(:func:`nightjar.problems.arrays.group_ids`), and the number of its item in two halves (:func:`item_numbers`). So rows
of a group stay together when batches are joined.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from nightjar.problems.arrays import group_ids, targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs

MAX_RELEVANCE = 31
"""Largest relevance: a gain is 2 to its power minus 1, as in XGBoost's objective."""
_HALF = 24
"""Bits of each half of an item's number: float32 holds integers of 24 bits exactly."""
BY_GROUP = ("ndcg", "map", "recall", "hit_rate")
"""Metrics that are means over the groups with a relevant item."""


def ranks_of(groups: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the place of each row within its group, from 1: by falling score, then in the order of rows.

    Args:
        groups: Number of each row's group.
        scores: Score of each row.
    """
    order = np.lexsort((np.arange(len(scores)), -scores, groups))
    sorted_groups = groups[order]
    starts = np.flatnonzero(np.append(True, np.diff(sorted_groups) != 0))
    sizes = np.diff(np.append(starts, len(order)))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - np.repeat(starts, sizes) + 1
    return ranks


@dataclass(frozen=True, kw_only=True)
class OfGroups:
    """Metrics of each group (one number for each group with a relevant item), and the number of other groups.

    Attributes:
        values: Metric of :data:`BY_GROUP` to its values.
        without_relevant: Groups without a relevant item, for which no order is better than another.
    """

    values: dict[str, NDArray[np.float64]]
    without_relevant: int


def measure_groups(
    relevance: NDArray[np.float64], groups: NDArray[np.int64], ranks: NDArray[np.int64], k: int
) -> OfGroups:
    """Measure the first ``k`` items of each group.

    ``ndcg``: discounted gains relative to those of the best order (Järvelin and Kekäläinen, 2002, with the gains of
    Burges et al., 2005). ``map``: sum of the precision at each relevant item, relative to the number of relevant items,
    at most ``k``. ``recall``: relevant items among the first ``k``, relative to all. ``hit_rate``: 1 with a relevant
    item among them.

    Args:
        relevance: Relevance of each row.
        groups: Number of each row's group.
        ranks: Place of each row within its group.
        k: Length of the list.
    """
    count = int(groups.max()) + 1 if len(groups) else 0

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = np.bincount(groups, values, count).astype(np.float64)
        return sums

    gains = np.exp2(relevance) - 1
    is_relevant, is_listed = relevance > 0, ranks <= k
    ideal = ranks_of(groups, relevance)
    dcg = total(np.where(is_listed, gains / np.log2(ranks + 1), 0.0))
    best = total(np.where(ideal <= k, gains / np.log2(ideal + 1), 0.0))
    relevant, hits = total(is_relevant.astype(np.float64)), total((is_relevant & is_listed).astype(np.float64))
    precision = np.where(is_relevant & is_listed, _hits_up_to(groups, ranks, is_relevant) / ranks, 0.0)
    has_relevant = relevant > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "ndcg": dcg / best,
            "map": total(precision) / np.minimum(relevant, k),
            "recall": hits / relevant,
            "hit_rate": (hits > 0).astype(np.float64),
        }
    is_group = total(np.ones(len(groups))) > 0
    return OfGroups(
        values={name: of_groups[has_relevant] for name, of_groups in values.items()},
        without_relevant=int(np.count_nonzero(is_group & ~has_relevant)),
    )


def _hits_up_to(
    groups: NDArray[np.int64], ranks: NDArray[np.int64], is_relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the number of relevant rows of the group up to each row's place."""
    order = np.lexsort((ranks, groups))
    running = np.cumsum(is_relevant[order])
    is_start = np.append(True, np.diff(groups[order]) != 0)[: len(order)]
    before = np.where(is_start, running - is_relevant[order], 0)
    hits = np.empty(len(order), np.float64)
    hits[order] = running - np.maximum.accumulate(before)
    return hits


def group_sums(metric: str, labels: Labels, outputs: Outputs, k: int) -> NDArray[np.float64]:
    """Return the sum of a metric of :data:`BY_GROUP` over groups, and the number of groups; both add up."""
    groups = group_ids(labels)
    found = measure_groups(targets(labels).astype(np.float64), groups, ranks_of(groups, outputs), k).values[metric]
    return np.array([found.sum(), len(found)], dtype=np.float64)


def hash_items(keys: Iterable[str]) -> NDArray[np.int64]:
    """Return a number of 48 bits for each key, the same on every machine; two of 100,000 share one by chance 2e-5."""
    digests = (blake2b(key.encode(), digest_size=2 * _HALF // 8).digest() for key in keys)
    return np.array([int.from_bytes(digest) for digest in digests], dtype=np.int64)


def halves_of(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return items' numbers as two columns, each of which float32 holds exactly."""
    return np.stack([numbers >> _HALF, numbers & ((1 << _HALF) - 1)], axis=1).astype(np.float64)


def item_numbers(labels: Labels) -> NDArray[np.int64]:
    """Return the number of each row's item from encoded labels; see :func:`halves_of`."""
    high, low = labels[:, 2:4].T.astype(np.int64)
    numbers: NDArray[np.int64] = (high << _HALF) + low
    return numbers


def measure_catalogue(rows: NDArray[np.int64], listed: NDArray[np.int64]) -> dict[str, float]:
    """Measure which items are among the first of the groups; both counts add up over groups, nights and slices.

    ``catalogue_coverage``: share of the items that are listed at least once (Herlocker et al., 2004, Evaluating
    collaborative filtering recommender systems, section 4.3). ``novelty``: mean, over the places of all lists, of the
    self-information of the item there in bits, -log2 of its share among all rows (Zhou et al., 2010, Solving the
    apparent diversity-accuracy dilemma of recommender systems; Vargas and Castells, 2011, Rank and relevance in novelty
    and diversity metrics for recommender systems). It is the same for all orders when all items have as many rows.

    Args:
        rows: Rows of each item, at least 1.
        listed: How many of these are among the first ``k`` of their group; at least one item is.
    """
    information = np.log2(rows.sum() / rows)
    return {
        "catalogue_coverage": float(np.count_nonzero(listed) / len(rows)),
        "novelty": float((listed * information).sum() / listed.sum()),
    }
