"""The engine of boosted trees by XGBoost. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from nightjar.declaration.boosting_params import PARAMETERS, check_param, check_params
from nightjar.declaration.declared import Count, Declaration, Name
from nightjar.declaration.spaces import Space, check_space


@dataclass(frozen=True, kw_only=True)
class Boosting(Declaration):
    """Boosted trees (XGBoost).

    Attributes:
        name: Name of the member, of which each model has one.
        params: XGBoost parameters (objective, depth, eta, ...).
        num_rounds: Upper bound of boosting rounds.
        early_stopping_rounds: Stop after this many rounds without a better validation metric, and keep the best round;
            None trains and keeps all rounds.
        checkpoint_every_rounds: Rounds between checkpoints, from which a killed training resumes. Another value gives
            other bytes: the random state of column sampling restarts at each checkpoint.
        space: Search ranges of ``params`` (and ``num_rounds``).
    """

    kind: ClassVar[str] = "boosting"
    is_distributed: ClassVar[bool] = True

    name: Name = kind
    params: Mapping[str, Any] = field(default_factory=dict)
    num_rounds: Count = 400
    early_stopping_rounds: Count | None = 30
    checkpoint_every_rounds: Count = 25
    space: Space = field(default_factory=dict)

    def check(self) -> None:
        """Check the parameters and their search space."""
        check_params(self.params, where="Boosting.params")
        for name in self.space.keys() - {"num_rounds"}:
            check_param(name, where="Boosting.space")
        check_space(self, {**PARAMETERS, "num_rounds": Count})

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched."""
        return {**self.params, "num_rounds": self.num_rounds}

    def with_params(self, chosen: Mapping[str, Any]) -> Boosting:
        """Return a copy with the ``chosen`` parameter values."""
        params = {name: value for name, value in chosen.items() if name != "num_rounds"}
        num_rounds = chosen.get("num_rounds", self.num_rounds)
        return replace(self, params={**self.params, **params}, num_rounds=num_rounds)
