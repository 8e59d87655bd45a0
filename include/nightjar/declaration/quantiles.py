"""Quantiles of a number, and the cost from which the quantile to act on follows. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.declaration.declared import Declaration, Positive, Text, check_unique, refuse
from nightjar.declaration.tables import Column

DECISION = "decision"
"""Name of the decision column, which a score table has when costs are declared."""


@dataclass(frozen=True, kw_only=True)
class QuantileCost(Declaration):
    """Cost of a number that is too low or too high, from which the quantile to act on follows.

    Attributes:
        under: Cost of each unit by which the number acted on is below the label.
        over: Cost of each unit by which it is above.
        unit: Unit of both.
    """

    under: Positive
    over: Positive
    unit: Text = "USD"

    @property
    def quantile(self) -> float:
        """Quantile with the lowest expected cost: the newsvendor's critical ratio (Arrow, Harris, Marschak, 1951)."""
        return self.under / (self.under + self.over)


def quantile_column(probability: float) -> str:
    """Return the name of a quantile's column: ``q10`` for 0.1, ``q97_5`` for 0.975."""
    return f"q{100 * probability:g}".replace(".", "_")


def quantile_columns(quantiles: Sequence[float], unit: str) -> tuple[Column, ...]:
    """Return the columns of quantiles in the score table, ascending."""
    return tuple(
        Column(
            quantile_column(quantile), "double", f"Quantile {quantile:g} of the label. Unit: {unit}.", nullable=False
        )
        for quantile in quantiles
    )


def decision_column(cost: QuantileCost, unit: str) -> Column:
    """Return the column of the number to act on."""
    return Column(
        DECISION, "double", f"Number with the lowest expected cost: the quantile {cost.quantile:g}. Unit: {unit}."
    )


def check_quantiles(quantiles: Sequence[float], *, where: str) -> None:
    """Check that quantiles ascend, that the median is among them, and that each has a column of its own.

    Raises:
        ConfigurationError: naming the quantiles.
    """
    if 0.5 not in quantiles or sorted(set(quantiles)) != list(quantiles):
        refuse(
            f"quantiles are {tuple(quantiles)}",
            where=where,
            fix="give ascending probabilities with 0.5, the prediction, among them, e.g. (0.1, 0.5, 0.9)",
        )
    check_unique(map(quantile_column, quantiles), kind="quantile column", where=where)


def check_quantile_cost(cost: QuantileCost | None, quantiles: Sequence[float], *, where: str) -> None:
    """Check that the quantile to act on lies between those that are predicted.

    Raises:
        ConfigurationError: naming the quantile.
    """
    if cost and not (quantiles and quantiles[0] <= cost.quantile <= quantiles[-1]):
        refuse(
            f"the cost asks for the quantile {cost.quantile:g}, which is not within the quantiles",
            where=where,
            fix="declare loss='quantile' with quantiles below and above it (at, if equal)",
        )
