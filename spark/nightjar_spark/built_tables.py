"""The rows that ``build_features`` writes, not yet computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def _none() -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, kw_only=True)
class BuiltTables:
    """Rows of the feature and the label table, and how many there must be.

    Attributes:
        features: Rows of the feature table.
        labels: Rows of the label table.
        feature_rows: Number of rows that ``features`` must have.
        label_rows: Number of rows that ``labels`` must have.
        metrics: Returns what was counted while the features were written.
    """

    features: DataFrame
    labels: DataFrame
    feature_rows: int
    label_rows: int
    metrics: Callable[[], Mapping[str, float]] = field(default=_none)
