"""Summaries of ranked items: small, exact, and additive in any order.

A summary holds, for each group with a relevant item, how many items it has of each relevance, and the relevance at each
of the first places. All metrics follow from these.
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
    """

    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    groups: Mapping[int, GroupItems] = field(default_factory=dict, repr=False)

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
        return json.dumps({"counts": dict(self.counts), "groups": groups}, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Invert :meth:`to_json`."""
        document = parse_object(text)
        groups = {
            group: GroupItems(relevances=dict(map(tuple, relevances)), listed=dict(map(tuple, listed)))
            for group, relevances, listed in document["groups"]
        }
        return cls(counts=document["counts"], groups=groups)


def merge(summaries: Sequence[Summary]) -> Summary:
    """Merge summaries; exact in any order. Without summaries the result is empty."""
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    relevances: dict[int, Counter[float]] = {}
    listed: dict[int, dict[int, float]] = {}
    for summary in summaries:
        counts.update(summary.counts)
        for group, items in summary.groups.items():
            relevances.setdefault(group, Counter()).update(items.relevances)
            listed.setdefault(group, {}).update(items.listed)
    groups = {
        group: GroupItems(
            relevances=dict(sorted(relevances[group].items())), listed=dict(sorted(listed[group].items()))
        )
        for group in sorted(relevances)
    }
    return Summary(counts=dict(counts), groups=groups)


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
    return {
        int(group): Summary(
            counts=dict(zip(COUNTS, counts[i], strict=True)),
            groups={
                item_group: GroupItems(relevances=dict(relevances), listed=listed)
                for item_group, (relevances, listed) in items[i].items()
            },
        )
        for i, group in enumerate(grouping.present)
    }
