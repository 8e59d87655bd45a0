"""The problem type of rankings: which items of a group come first. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from nightjar.declaration.declared import Count, Declaration, Name, check_unique, refuse
from nightjar.declaration.quality import QualityMetric, by_name, shares
from nightjar.declaration.tables import Column, ColumnType

POPULARITY, LAST_SEEN = "popularity", "last_seen"
"""Baselines: the order by how often an item was relevant lately, and by when or how it was seen last."""
CATALOGUE_METRICS = (
    QualityMetric(name="catalogue_coverage", lower_is_better=False),
    QualityMetric(name="novelty", lower_is_better=False, high=inf),
)
"""Metrics of which items are listed, whatever their labels: a gate can bound them, and not decide by them."""
RANK = Column("rank", "int", "Place of the item within its group and night, 1 for the best.", nullable=False)


@dataclass(frozen=True, kw_only=True)
class Ranking(Declaration):
    """The order of items within a group: labels are relevances of at least 0, predictions are scores and ranks.

    A group is within one night, e.g. the flights of an airport.

    Attributes:
        group: Columns that identify a group; the first columns of the entity's key.
        item: Columns of the key after the group that identify an item from night to night, e.g. without a date.
        k: Length of the list that is acted on; metrics are those of the first ``k`` items.
        popularity: Numeric feature by which the baseline of the same name orders items, the largest first.
        last_seen: Numeric feature by which the baseline of the same name orders items, the largest first.
    """

    kind: ClassVar[str] = "ranking"
    label_type: ClassVar[ColumnType] = "double"
    objective: ClassVar[str] = "rank:ndcg"
    calibrations: ClassVar[tuple[str, ...]] = ("none", "best")
    baselines: ClassVar[tuple[str, ...]] = (POPULARITY, LAST_SEEN)
    label_groups: ClassVar[tuple[str, ...]] = ("relevant",)
    metrics_of_decisions: ClassVar[tuple[QualityMetric, ...]] = ()
    key_columns: ClassVar[tuple[Column, ...]] = ()
    carried_columns: ClassVar[tuple[Column, ...]] = ()
    has_rows_of_source: ClassVar[bool] = True
    means_are_shares: ClassVar[bool] = False
    decision_columns: ClassVar[tuple[Column, ...]] = ()
    cost: ClassVar[None] = None

    group: tuple[Name, ...]
    item: tuple[Name, ...]
    k: Count = 10
    popularity: Name
    last_seen: Name

    def check(self) -> None:
        """Check that there is a group and an item, and that the baselines differ."""
        check_unique((*self.group, *self.item), kind="column", where="Ranking.group and Ranking.item")
        if not self.group:
            refuse("group is empty", where="Ranking.group", fix="name the first columns of the entity's key")
        if not self.item:
            refuse("item is empty", where="Ranking.item", fix="name columns of the entity's key after the group")
        check_unique((self.popularity, self.last_seen), kind="feature", where="Ranking.last_seen")

    @property
    def metrics(self) -> Mapping[str, QualityMetric]:
        """Metrics of the first ``k`` items that a gate can check; the first is the default."""
        return by_name((*shares("ndcg", "map", "recall", "hit_rate"), *CATALOGUE_METRICS))

    @property
    def monitored(self) -> str:
        """Metric of the nights that monitoring compares with the holdout."""
        return "ndcg"

    def prediction_columns(self, prediction: str) -> tuple[Column, ...]:
        """Return the columns of a prediction, whose meaning is ``prediction``."""
        return (Column("prediction", "double", f"{prediction} Higher comes first.", nullable=False), RANK)
