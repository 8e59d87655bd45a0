"""The engine of neural networks by PyTorch. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from nightjar.declaration.declared import (
    Bounds,
    Count,
    Declaration,
    Name,
    NotNegative,
    Positive,
    hints_of,
    refuse,
)
from nightjar.declaration.spaces import Space, check_space, numbers_of

RANGE_TEST = "range_test"
Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "linear", "constant"]
"""How the learning rate goes on after the warm-up of the first epoch: down to 0 by a cosine or a line, or as it is."""
_SHAPE: Mapping[str, Any] = {"width": Count, "depth": Count}
"""Parameters of the hidden layers that can be searched, when all have the same width."""


@dataclass(frozen=True, kw_only=True)
class Network(Declaration):
    """A feed-forward network with an embedding for each category (PyTorch).

    Attributes:
        name: Name of the member, of which each model has one.
        hidden: Width of each hidden layer.
        embedding_width: Maximum width of an embedding; a category of few values gets half as many as it has values.
        dropout: Share of activations dropped in training.
        focal_gamma: Exponent of the focal loss, which gives less weight to rows that are predicted well; 0 for the log
            loss. Only for ``Binary``.
        optimizer: ``adamw``, or ``sgd`` with ``momentum``.
        momentum: Nesterov's momentum of ``sgd``.
        learning_rate: Peak learning rate, reached after the first epoch; ``range_test`` finds it before the training.
        schedule: The learning rate after its peak.
        weight_decay: Decay of the weights: decoupled for ``adamw``, added to the gradient for ``sgd``.
        batch_size: Rows per batch, over all ranks.
        accumulated_batches: Batches whose gradients are averaged for one step of the optimizer.
        epochs: Maximum passes over the training rows.
        early_stopping_epochs: Stop after this many epochs without a better validation metric; the best epoch is kept.
        clip_norm: Maximum norm of a gradient (gradient clipping).
        checkpoint_every_epochs: Epochs between checkpoints, from which a killed training resumes.
        space: Search ranges of the numbers above; ``width`` and ``depth`` of ``hidden``, if its layers have one width.
    """

    kind: ClassVar[str] = "network"
    is_distributed: ClassVar[bool] = True

    name: Name = kind
    hidden: tuple[Count, ...] = (128, 64)
    embedding_width: Count = 16
    dropout: Annotated[float, Bounds(0, 1, high_open=True)] = 0.1
    focal_gamma: NotNegative = 0.0
    optimizer: Optimizer = "adamw"
    momentum: Annotated[float, Bounds(0, 1, low_open=True, high_open=True)] = 0.9
    learning_rate: Positive | Literal["range_test"] = 2e-3
    schedule: Schedule = "cosine"
    weight_decay: NotNegative = 1e-4
    batch_size: Count = 1024
    accumulated_batches: Count = 1
    epochs: Count = 20
    early_stopping_epochs: Count = 4
    clip_norm: Positive = 1.0
    checkpoint_every_epochs: Count = 1
    space: Space = field(default_factory=dict)

    def check(self) -> None:
        """Check for a hidden layer, and the search space."""
        if not self.hidden:
            refuse("hidden is empty", where="Network.hidden", fix="give the width of each hidden layer, e.g. (128, 64)")
        if self.space.keys() & _SHAPE.keys() and len(set(self.hidden)) > 1:
            refuse(
                f"width or depth is searched, and hidden is {self.hidden}",
                where="Network.space",
                fix=f"give all hidden layers one width, e.g. hidden={(self.hidden[0],) * len(self.hidden)}",
            )
        hints = {**hints_of(Network), **_SHAPE}
        check_space(self, {name: hints[name] for name in self.declared()})

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched."""
        return {**numbers_of(self), "width": self.hidden[0], "depth": len(self.hidden)}

    def with_params(self, chosen: Mapping[str, Any]) -> Network:
        """Return a copy with the ``chosen`` parameter values."""
        numbers = {name: value for name, value in chosen.items() if name not in _SHAPE}
        width, depth = chosen.get("width", self.hidden[0]), chosen.get("depth", len(self.hidden))
        hidden = (width,) * depth if chosen.keys() & _SHAPE.keys() else self.hidden
        return replace(self, **numbers, hidden=hidden)
