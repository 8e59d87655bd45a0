"""The engine of linear models. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from nightjar.declaration.declared import Declaration, Name
from nightjar.declaration.spaces import Space


@dataclass(frozen=True, kw_only=True)
class Linear(Declaration):
    """The linear baseline of the problem type, as a member of the ensemble: logistic, multinomial or ridge regression.

    It is fitted to every n-th row, so that there are at most about 200,000, and weighs all rows alike.

    Attributes:
        name: Name of the member, of which each model has one.
    """

    kind: ClassVar[str] = "linear"
    is_distributed: ClassVar[bool] = True
    space: ClassVar[Space] = {}

    name: Name = kind

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched: none."""
        return {}

    def with_params(self, chosen: Mapping[str, Any]) -> Linear:
        """Return a copy with the ``chosen`` parameter values."""
        return replace(self, **chosen)
