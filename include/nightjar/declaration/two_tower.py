"""The engine of rankings by two towers, one for the group and one for the item. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from nightjar.declaration.declared import (
    Bounds,
    Count,
    Declaration,
    Name,
    NotNegative,
    Positive,
    check_unique,
    hints_of,
    refuse,
)
from nightjar.declaration.spaces import Space, check_space, numbers_of


@dataclass(frozen=True, kw_only=True)
class TwoTower(Declaration):
    """Two networks for a ``Ranking``, whose vectors' dot product is the score (PyTorch), trained by one rank.

    Attributes:
        name: Name of the member, of which each model has one.
        group_features: Features of the group, e.g. of the customer: the inputs of its tower.
        item_features: Features of the item: the inputs of the other tower. A feature may be an input of both.
        width: Width of each hidden layer of a tower.
        depth: Number of hidden layers of a tower.
        vector_width: Width of the vectors of group and item.
        embedding_width: Maximum width of an embedding; a category of few values gets half as many as it has values.
        dropout: Share of activations dropped in training.
        learning_rate: Learning rate of the first epoch, of AdamW; it goes down to 0 by a cosine.
        weight_decay: Decoupled decay of the weights.
        batch_size: Rows per batch, of whole groups: a batch ends with the group that exceeds it.
        epochs: Maximum passes over the training rows.
        early_stopping_epochs: Stop after this many epochs without a better validation metric; the best epoch is kept.
        space: Search ranges of the numbers above.
    """

    kind: ClassVar[str] = "two_tower"
    is_distributed: ClassVar[bool] = False

    name: Name = kind
    group_features: tuple[Name, ...]
    item_features: tuple[Name, ...]
    width: Count = 64
    depth: Count = 2
    vector_width: Annotated[int, Bounds(low=2)] = 32
    embedding_width: Count = 16
    dropout: Annotated[float, Bounds(0, 1, high_open=True)] = 0.1
    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 1e-4
    batch_size: Count = 1024
    epochs: Count = 20
    early_stopping_epochs: Count = 4
    space: Space = field(default_factory=dict)

    def check(self) -> None:
        """Check that each tower has features, and the search space."""
        for name in ("group_features", "item_features"):
            listed = getattr(self, name)
            check_unique(listed, kind="feature", where=f"TwoTower.{name}")
            if not listed:
                refuse(f"{name} is empty", where=f"TwoTower.{name}", fix="name at least one feature of the use case")
        hints = hints_of(TwoTower)
        check_space(self, {name: hints[name] for name in self.declared()})

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched."""
        return numbers_of(self)

    def with_params(self, chosen: Mapping[str, Any]) -> TwoTower:
        """Return a copy with the ``chosen`` parameter values."""
        return replace(self, **chosen)
