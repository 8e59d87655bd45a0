"""Features: what a model reads. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nightjar.declaration.declared import Declaration, Name, Text, refuse
from nightjar.declaration.reserved import check_columns
from nightjar.declaration.rules import Rule
from nightjar.declaration.tables import Column

FeatureKind = Literal["numeric", "categorical"]


@dataclass(frozen=True)
class Feature(Declaration):
    """A model input: its column in the feature table, and how the model reads it.

    Attributes:
        name: Name of the column.
        kind: How the model reads it: as a number (``double``) or as a category (``string``).
        comment: Meaning of the column, with its unit.
        drift: Whether the column counts towards the drift verdict; False for a column that is expected to vary (day of
            the week, month).
    """

    name: Name
    kind: FeatureKind
    comment: Text
    drift: bool = True

    @property
    def column(self) -> Column:
        """Column of the feature table that holds the feature."""
        return Column(self.name, "double" if self.kind == "numeric" else "string", self.comment)


@dataclass(frozen=True, kw_only=True)
class FeatureSet(Declaration):
    """All model inputs, and what must hold for a row of them.

    Attributes:
        columns: Model inputs, in the order in which a model reads them.
        rules: Row rules of the feature table.
    """

    columns: tuple[Feature, ...]
    rules: tuple[Rule, ...] = ()

    def check(self) -> None:
        """Check that names are unique and not reserved, and that a feature is watched for drift."""
        where = "FeatureSet.columns"
        if not self.columns:
            refuse("columns is empty", where=where, fix="declare at least one feature")
        check_columns([feature.name for feature in self.columns], where=where)
        if not any(feature.drift for feature in self.columns):
            refuse("no feature is watched for drift", where=where, fix="leave drift=True for at least one feature")
