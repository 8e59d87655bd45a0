"""An A/B experiment: entities split between model versions, and how the difference is judged. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from nightjar.declaration.declared import Count, Declaration, Name, Positive, Probability, refuse
from nightjar.declaration.tables import Column

CHAMPION = "champion"
"""The alias in MLflow of the version that scores, and the variant that the others are compared with."""

Metric = Literal["label", "brier", "cost"]


@dataclass(frozen=True, kw_only=True)
class FixedHorizon(Declaration):
    """Judged once: when ``units`` have their label, on the first nights that hold so many, and never again.

    Attributes:
        units: Of all variants together.
        alpha: Probability of seeing a difference where there is none, over all challengers.
    """

    units: Count
    alpha: Probability = 0.05


@dataclass(frozen=True, kw_only=True)
class Sequential(Declaration):
    """Judged every night; whoever stops at the first difference seen is wrong with probability ``alpha`` at most.

    Attributes:
        effect: Difference of the metric that one would act on, in its unit: there the test is sharpest.
        alpha: Probability of ever seeing a difference where there is none, over all challengers.
    """

    effect: Positive
    alpha: Probability = 0.05


@dataclass(frozen=True, kw_only=True)
class Experiment(Declaration):
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

    name: Name
    variants: Mapping[Name, Positive]
    metric: Metric
    design: FixedHorizon | Sequential
    first_night: date
    unit: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse variants without champion or challenger, and shares that do not add up to 1."""
        where = f"experiment {self.name}, Experiment.variants"
        if CHAMPION not in self.variants or len(self.variants) < 2:
            refuse(
                f"variants are {', '.join(self.variants) or 'none'}",
                where=where,
                how_many=len(self.variants),
                fix="declare `champion` and a challenger",
            )
        if abs(sum(self.variants.values()) - 1) > 1e-9:
            shares = ", ".join(f"{name} {weight:g}" for name, weight in self.variants.items())
            refuse(
                f"the shares are {shares}",
                where=where,
                how_many=len(self.variants),
                fix="give each one above 0, and 1 together",
            )

    @property
    def challengers(self) -> tuple[str, ...]:
        return tuple(variant for variant in self.variants if variant != CHAMPION)


EXPERIMENT_COLUMNS = (
    Column("experiment", "string", "Experiment that split the night between versions; null when none did."),
    Column("variant", "string", "Variant that the row's entity is in: champion, or a challenger's alias; or null."),
)
"""Of a score table whose use case declares an experiment."""
