"""Rules by which predictions of a yes/no question become alarms. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import Count, Declaration, Probability


@dataclass(frozen=True)
class Precision(Declaration):
    """Alarm for as many rows as possible, of which at least this share is positive on the validation days.

    Attributes:
        at_least: Share of alarms whose label is 1.
    """

    at_least: Probability

    def __str__(self) -> str:
        return f"the most alarms with a precision of at least {self.at_least:g} on the validation days"


@dataclass(frozen=True)
class Recall(Declaration):
    """Alarm for as few rows as possible, which hold at least this share of the positives on the validation days.

    Attributes:
        at_least: Share of the rows with label 1 that are alarms.
    """

    at_least: Probability

    def __str__(self) -> str:
        return f"the fewest alarms with a recall of at least {self.at_least:g} on the validation days"


@dataclass(frozen=True)
class Capacity(Declaration):
    """Alarm for the rows of each night with the highest predictions.

    Attributes:
        rows: Number of alarms of a night, e.g. what a team can look at. Of equal predictions, first keys come first.
    """

    rows: Count

    def __str__(self) -> str:
        return f"the {self.rows} highest predictions of the night"


Alarms = Precision | Recall | Capacity
"""How predictions become alarms, unless the threshold follows from costs."""
