"""A/B experiments: how entities are split between model versions, and how the difference is tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from nightjar.declaration.declared import Count, Declaration, Name, Positive, Probability, refuse
from nightjar.declaration.tables import Column

CHAMPION = "champion"
"""MLflow alias of the scoring version, and the control variant of an experiment."""

Metric = Literal["label", "brier", "cost"]


@dataclass(frozen=True, kw_only=True)
class FixedHorizon(Declaration):
    """Test once, when ``units`` units have their label; never again. Uses the first nights that hold that many units.

    Attributes:
        units: Units of all variants together.
        alpha: Type I error rate (false positive), over all challengers together.
    """

    units: Count
    alpha: Probability = 0.05


@dataclass(frozen=True, kw_only=True)
class Sequential(Declaration):
    """Test every night (sequential testing). Stopping at the first significant night keeps the error rate ``alpha``.

    Attributes:
        effect: Smallest difference of the metric worth acting on, in its unit. The test has the most power there.
        alpha: Probability of ever reporting a difference where there is none, over all challengers together.
    """

    effect: Positive
    alpha: Probability = 0.05


@dataclass(frozen=True, kw_only=True)
class Experiment(Declaration):
    """Split of entities between the champion and challengers, by a salted hash of their key.

    Attributes:
        name: Name of the experiment, and the salt of the hash. A changed split needs a new name.
        variants: Variant (alias in MLflow) to its share of the units; must include ``champion``.
        metric: Mean over units to compare: the ``label`` itself (does acting on the scores change the outcome?), the
            ``brier`` score of the prediction, or the ``cost`` of the decision, as declared.
        design: When the difference is tested.
        first_night: First night that is split. The champion scores all earlier nights, also in a backfill.
        unit: Key columns that form the randomization unit, which keeps its variant on every night; empty for the whole
            key.
    """

    name: Name
    variants: Mapping[Name, Positive]
    metric: Metric
    design: FixedHorizon | Sequential
    first_night: date
    unit: tuple[str, ...] = ()

    def check(self) -> None:
        """Check for the champion, at least one challenger, and shares that add up to 1."""
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
        """Variants other than the champion."""
        return tuple(variant for variant in self.variants if variant != CHAMPION)


EXPERIMENT_COLUMNS = (
    Column("experiment", "string", "Experiment that split the night between versions; null when none did."),
    Column("variant", "string", "Variant that the row's entity is in: champion, or a challenger's alias; or null."),
)
"""Extra columns of the score table when the use case declares an experiment."""
