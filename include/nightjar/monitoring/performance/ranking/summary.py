"""Summaries of ranked items: small, exact, and additive in any order.

A summary holds, for each group with a relevant item, how many items it has of each relevance, and the relevance at each
of the first places; and for each item, how many rows it has and how many of them are at the first places. All metrics
follow from these.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.ranking import Ranking
from nightjar.monitoring.performance.groups import group_by
from nightjar.monitoring.performance.problem import ScoredRows
from nightjar.protocol.documents import parse_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTS = ("rows", "landed", "labelled", "relevant")


@dataclass(frozen=True, kw_only=True)
class GroupItems:
    """Relevant items of one group.

    Attributes:
        relevances: Relevance above 0 to the number of its items.
        listed: Place among the first ``k`` to the relevance of its item; places without a relevant item are left out.
    """

    relevances: Mapping[float, int]
    listed: Mapping[int, float]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of the rows of a night, a slice or a week.

    Attributes:
        counts: Number of rows by :data:`COUNTS`.
        groups: Number of the group, which differs between nights, to its relevant items.
        items: Number of the item, the same on all nights, to its rows and to those among the first ``k``.
    """

    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    groups: Mapping[int, GroupItems] = field(default_factory=dict, repr=False)
    items: Mapping[int, tuple[int, int]] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> int:
        """Scored rows."""
        return self.counts["rows"]

    @property
    def landed(self) -> int:
        """Rows whose outcome has landed, with or without a label."""
        return self.counts["landed"]

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        return self.counts["labelled"]

    def to_json(self) -> str:
        """Return compact JSON."""
        groups = [
            [group, list(items.relevances.items()), list(items.listed.items())] for group, items in self.groups.items()
        ]
        items = [[item, *counts] for item, counts in self.items.items()]
        document = {"counts": dict(self.counts), "groups": groups, "items": items}
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Invert :meth:`to_json`."""
        document = parse_object(text)
        groups = {
            group: GroupItems(relevances=dict(map(tuple, relevances)), listed=dict(map(tuple, listed)))
            for group, relevances, listed in document["groups"]
        }
        items = {item: (rows, listed) for item, rows, listed in document["items"]}
        return cls(counts=document["counts"], groups=groups, items=items)


def merge(summaries: Sequence[Summary]) -> Summary:
    """Merge summaries; exact in any order. Without summaries the result is empty."""
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    relevances: dict[int, Counter[float]] = {}
    listed: dict[int, dict[int, float]] = {}
    rows_of_items: Counter[int] = Counter()
    listed_of_items: Counter[int] = Counter()
    for summary in summaries:
        counts.update(summary.counts)
        for group, items in summary.groups.items():
            relevances.setdefault(group, Counter()).update(items.relevances)
            listed.setdefault(group, {}).update(items.listed)
        for item, (rows, first) in summary.items.items():
            rows_of_items[item] += rows
            listed_of_items[item] += first
    groups = {
        group: GroupItems(
            relevances=dict(sorted(relevances[group].items())), listed=dict(sorted(listed[group].items()))
        )
        for group in sorted(relevances)
    }
    return Summary(
        counts=dict(counts),
        groups=groups,
        items={item: (rows_of_items[item], listed_of_items[item]) for item in sorted(rows_of_items)},
    )


def summarize_groups(rows: ScoredRows, groups: NDArray[np.int64], declared: Ranking) -> dict[int, Summary]:
    """Summarize each group of rows (of a night or a slice; each may hold several groups of items)."""
    if not len(groups):
        return {}
    grouping = group_by(groups)
    is_relevant = rows.labels > 0  # false for a null
    flags = [np.ones(len(groups), bool), rows.landed, ~np.isnan(rows.labels), is_relevant]
    ordered = np.stack(flags, axis=1)[grouping.order].astype(np.int64)
    counts = np.add.reduceat(ordered, grouping.starts, axis=0).tolist()
    items: list[dict[int, tuple[Counter[float], dict[int, float]]]] = [{} for _ in grouping.present]
    found = np.flatnonzero(is_relevant)
    for part, item_group, relevance, rank in zip(
        grouping.codes[found].tolist(),
        rows.columns["item_group"][found].astype(np.int64).tolist(),
        rows.labels[found].tolist(),
        rows.columns["rank"][found].astype(np.int64).tolist(),
        strict=True,
    ):
        relevances, listed = items[part].setdefault(item_group, (Counter(), {}))
        relevances[relevance] += 1
        if rank <= declared.k:
            listed[rank] = relevance
    items_of_parts = _count_items(rows, grouping.codes, len(grouping.present), declared.k)
    return {
        int(group): Summary(
            counts=dict(zip(COUNTS, counts[i], strict=True)),
            groups={
                item_group: GroupItems(relevances=dict(relevances), listed=listed)
                for item_group, (relevances, listed) in items[i].items()
            },
            items=items_of_parts[i],
        )
        for i, group in enumerate(grouping.present)
    }


def _count_items(rows: ScoredRows, codes: NDArray[np.int64], parts: int, k: int) -> list[dict[int, tuple[int, int]]]:
    """Return, for each part of the rows, the rows of each item, and those among the first ``k`` of their group."""
    numbers, items = np.unique(rows.columns["item"].astype(np.int64), return_inverse=True)
    pairs, pair_of_row = np.unique(codes * len(numbers) + items, return_inverse=True)
    rows_of_pairs = np.bincount(pair_of_row)
    listed = np.bincount(pair_of_row[rows.columns["rank"] <= k], minlength=len(pairs))
    counts: list[dict[int, tuple[int, int]]] = [{} for _ in range(parts)]
    for pair, of_rows, of_listed in zip(pairs.tolist(), rows_of_pairs.tolist(), listed.tolist(), strict=True):
        counts[pair // len(numbers)][int(numbers[pair % len(numbers)])] = (of_rows, of_listed)
    return counts
