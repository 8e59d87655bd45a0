"""What a use case predicts for. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import Declaration, refuse
from nightjar.declaration.reserved import check_columns
from nightjar.declaration.tables import Column


@dataclass(frozen=True, kw_only=True)
class Entity(Declaration):
    """What is scored each night, e.g. a flight.

    Attributes:
        key: Columns that identify an entity within a night (typed as in the feature table).
        carried: Columns of the feature table to copy into the score table, for BI.
    """

    key: tuple[Column, ...]
    carried: tuple[Column, ...] = ()

    def check(self) -> None:
        """Check for a key, and that column names are unique and not reserved."""
        if not self.key:
            refuse("key is empty", where="Entity.key", fix="declare at least one column")
        check_columns([column.name for column in self.key], where="Entity.key")
        check_columns([column.name for column in self.carried], where="Entity.carried")
        key = {column.name for column in self.key}
        if both := [column.name for column in self.carried if column.name in key]:
            refuse(
                f"column {', '.join(both)} is declared twice: in key, and in carried",
                where="Entity.carried",
                how_many=len(both),
                fix="leave it out of carried: the score table has the key's columns",
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the key, then the carried ones."""
        return (*self.key, *self.carried)
