"""Which labelled rows a training fits, and how much each weighs. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.declaration.declared import Count, Declaration, Name, Positive, PositiveShare, Text


@dataclass(frozen=True, kw_only=True)
class Rows(Declaration):
    """Which labelled rows engines fit, and how much each weighs in their loss; weights multiply.

    Validation and holdout have all rows of their days and weigh them alike, as baselines do.

    Attributes:
        window_days: Label days to fit, the last before the validation days; None for all.
        max_rows: Labelled rows to fit: the newest days that have no more together; None for no limit.
        half_life_days: Days after which a row weighs half as much as one of the newest day; None weighs all alike.
        weight_column: Column of the entity, or feature, with the weight of each row: a number of at least 0.
        class_weights: Class to the weight of its rows, 1 for classes that are left out. Only for ``Multiclass``;
            ``balance_classes`` weighs the classes of ``Binary``. Predicted probabilities are corrected for it.
        negative_share: Share of the rows with label 0 to fit, chosen at random by ``Training.seed``. Only for
            ``Binary``. Predicted probabilities are corrected for it.
    """

    window_days: Count | None = None
    max_rows: Count | None = None
    half_life_days: Positive | None = None
    weight_column: Name | None = None
    class_weights: Mapping[Text, Positive] = field(default_factory=dict)
    negative_share: PositiveShare = 1.0

    @property
    def is_weighted(self) -> bool:
        """Whether rows weigh differently."""
        return self.half_life_days is not None or self.weight_column is not None or bool(self.class_weights)
