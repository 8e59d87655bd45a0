"""The engine LightGBM, and the parameters that a use case may declare for it. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from nightjar.declaration.declared import (
    Bounds,
    Count,
    CountOrZero,
    Declaration,
    Name,
    NotNegative,
    PositiveShare,
    check_choice,
    check_value,
)
from nightjar.declaration.spaces import Space

PARAMETERS: Mapping[str, Any] = {
    "bagging_fraction": PositiveShare,
    "bagging_freq": CountOrZero,
    "cat_l2": NotNegative,
    "cat_smooth": NotNegative,
    "extra_trees": bool,
    "feature_fraction": PositiveShare,
    "feature_fraction_bynode": PositiveShare,
    "lambda_l1": NotNegative,
    "lambda_l2": NotNegative,
    "learning_rate": PositiveShare,
    "max_bin": Annotated[int, Bounds(low=2, high=65_535)],
    "max_cat_threshold": Count,
    "max_depth": CountOrZero,
    "min_data_in_leaf": CountOrZero,
    "min_gain_to_split": NotNegative,
    "min_sum_hessian_in_leaf": NotNegative,
    "num_leaves": Annotated[int, Bounds(low=2, high=131_072)],
    "path_smooth": NotNegative,
}
"""Name to its values. Objective, seed, threads, device and rounds follow from the problem type and the training."""


@dataclass(frozen=True, kw_only=True)
class LightGBM(Declaration):
    """Boosted trees (LightGBM), trained by one rank in its memory.

    Attributes:
        name: Name of the member, of which each model has one.
        params: LightGBM parameters, under their main names (num_leaves, learning_rate, ...).
        num_rounds: Upper bound of boosting rounds.
        early_stopping_rounds: Stop after this many rounds without a better validation metric, and keep the best round;
            None trains and keeps all rounds.
    """

    kind: ClassVar[str] = "lightgbm"
    is_distributed: ClassVar[bool] = False
    space: ClassVar[Space] = {}

    name: Name = kind
    params: Mapping[str, Any] = field(default_factory=dict)
    num_rounds: Count = 400
    early_stopping_rounds: Count | None = 30

    def check(self) -> None:
        """Check the parameters."""
        for name, value in self.params.items():
            check_choice(name, PARAMETERS, kind="LightGBM parameter", where="LightGBM.params")
            check_value(value, PARAMETERS[name], where=f"LightGBM.params[{name!r}]")

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched: none."""
        return {}

    def with_params(self, chosen: Mapping[str, Any]) -> LightGBM:
        """Return a copy with the ``chosen`` parameter values."""
        return replace(self, params={**self.params, **chosen})
