"""An A/B experiment: entities split between model versions, and how the difference is judged. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.names import check_identifier
from nightjar.contracts.tables import Column

CHAMPION = "champion"
"""The alias in MLflow of the version that scores, and the variant that the others are compared with."""

Metric = Literal["label", "brier", "cost"]


@dataclass(frozen=True, kw_only=True)
class FixedHorizon:
    """Judged once: when ``units`` have their label, on the first nights that hold so many, and never again.

    Attributes:
        units: Of all variants together.
        alpha: Probability of seeing a difference where there is none, over all challengers.
    """

    units: int
    alpha: float = 0.05

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)
        if self.units < 1:
            raise ConfigurationError(
                f"{self.units} units are no horizon", where="FixedHorizon.units", fix="give at least 1"
            )


@dataclass(frozen=True, kw_only=True)
class Sequential:
    """Judged every night; whoever stops at the first difference seen is wrong with probability ``alpha`` at most.

    Attributes:
        effect: Difference of the metric that one would act on, in its unit: there the test is sharpest.
        alpha: Probability of ever seeing a difference where there is none, over all challengers.
    """

    effect: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)
        if self.effect <= 0:
            raise ConfigurationError(
                f"an effect of {self.effect:g} is none", where="Sequential.effect", fix="give one above 0"
            )


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Entities split between the champion and challengers by a salted hash of their key.

    Attributes:
        name: Of the experiment, and the salt: another name is another split. A changed split needs another name.
        variants: Alias in MLflow to its share of the units; ``champion`` is one of them.
        metric: What is compared, the mean over units: the ``label`` itself (does acting on the scores change what
            happens?), the ``brier`` score of the prediction, or the ``cost`` of the decision, as declared.
        design: When it is judged.
        first_night: First night that is split; earlier ones, when they are backfilled, are the champion's.
        unit: Columns of the key that are kept together, the same variant on every night; empty: the whole key.
    """

    name: str
    variants: Mapping[str, float]
    metric: Metric
    design: FixedHorizon | Sequential
    first_night: date
    unit: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.name, *self.variants):
            check_identifier(name, field="experiment")
        weights = self.variants.values()
        if CHAMPION not in self.variants or len(self.variants) < 2:
            self._refuse(f"variants are {', '.join(self.variants) or 'none'}", "declare `champion` and a challenger")
        if min(weights) <= 0 or abs(sum(weights) - 1) > 1e-9:
            shares = ", ".join(f"{name} {weight:g}" for name, weight in self.variants.items())
            self._refuse(f"the shares are {shares}", "give each one above 0, and 1 together")

    @property
    def challengers(self) -> tuple[str, ...]:
        return tuple(variant for variant in self.variants if variant != CHAMPION)

    def _refuse(self, what: str, fix: str) -> None:
        raise ConfigurationError(what, where=f"experiment {self.name}", how_many=len(self.variants), fix=fix)


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ConfigurationError(
            f"alpha {alpha:g} is no probability", where="alpha of the design", fix="give e.g. 0.05"
        )


EXPERIMENT_COLUMNS = (
    Column("experiment", "string", "Experiment that split the night between versions; null when none did."),
    Column("variant", "string", "Variant that the row's entity is in: champion, or a challenger's alias; or null."),
)
"""Of a score table whose use case declares an experiment."""
