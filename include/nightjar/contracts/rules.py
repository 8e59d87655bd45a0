"""Data rules: one SQL predicate each, read by Great Expectations for the verdict and by Spark for the quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nightjar.contracts.names import check_identifier

Severity = Literal["reject_row", "stop_night", "warn"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule that every row of a table keeps.

    Attributes:
        name: Identifier, unique within its table.
        broken_when: Spark SQL predicate, true for a row that breaks the rule (null counts as kept).
        reason: What it means, for the person who reads the quarantine.
        severity: ``reject_row`` sends the row to quarantine, ``stop_night`` fails the task at the first broken row,
            ``warn`` is reported only.
    """

    name: str
    broken_when: str
    reason: str
    severity: Severity = "reject_row"

    def __post_init__(self) -> None:
        check_identifier(self.name, field="rule")


def not_null(column: str) -> Rule:
    """The rule that ``column`` has a value."""
    return Rule(name=f"{column}_not_null", broken_when=f"{column} IS NULL", reason=f"{column} has no value")


def between(column: str, low: float, high: float, *, unit: str, severity: Severity = "reject_row") -> Rule:
    """The rule that ``column``, where it has a value, lies in [``low``, ``high``] (in ``unit``)."""
    return Rule(
        name=f"{column}_between",
        broken_when=f"{column} NOT BETWEEN {low} AND {high}",
        reason=f"{column} is outside {low:g} to {high:g} {unit}",
        severity=severity,
    )


def one_of(column: str, values: tuple[str, ...]) -> Rule:
    """The rule that ``column``, where it has a value, is one of ``values``."""
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return Rule(
        name=f"{column}_one_of",
        broken_when=f"{column} NOT IN ({listed})",
        reason=f"{column} is none of {', '.join(values)}",
    )
