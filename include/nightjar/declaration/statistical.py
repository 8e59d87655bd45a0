"""The engine of statistical forecasts. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from nightjar.declaration.declared import Declaration, Name
from nightjar.declaration.forecast import ETS, SeriesModel
from nightjar.declaration.spaces import Space


@dataclass(frozen=True, kw_only=True)
class Statistical(Declaration):
    """The forecasts of a statistical model of each series, as a member of the ensemble. Only for ``Forecast``.

    Each night fits the model to every series (:attr:`Forecast.models`), so there is nothing to train.

    Attributes:
        name: Name of the member, of which each model has one.
        model: Name of the model, one of ``Forecast.models``.
    """

    kind: ClassVar[str] = "statistical"
    is_distributed: ClassVar[bool] = True
    space: ClassVar[Space] = {}

    name: Name = kind
    model: SeriesModel = ETS

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched: none."""
        return {}

    def with_params(self, chosen: Mapping[str, Any]) -> Statistical:
        """Return a copy with the ``chosen`` parameter values."""
        return replace(self, **chosen)
