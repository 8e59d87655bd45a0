"""Figures of a night's columns for comparison between nights; mergeable, of bounded size.

Rows, nulls, means and deviations are exact. Quantiles, cardinality and categories come from the :data:`SAMPLE_ROWS`
rows with the smallest hashes: all rows of a smaller night, otherwise a uniform sample that does not depend on the rows'
partitions (bottom-k sampling; Cohen and Kaplan 2007, Summarizing Data using Bottom-k Sketches). The rank error of the
quantiles is below 2 percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SAMPLE_ROWS = 5000
LISTED_CATEGORIES = 200
"""Maximum number of categories kept, the most frequent first."""
HASH = "_hash"
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of one column on one night.

    Attributes:
        rows: Rows of the night that are not quarantined.
        nulls: Rows with a null.
        distinct: Distinct values in the sample.
        mean: Mean; None for text and without values. Timestamps count as hours since the night's first midnight (UTC),
            dates as days since the night.
        std: Standard deviation.
        minimum: Minimum.
        maximum: Maximum.
        quantiles: Quantiles ``p05`` to ``p95``.
        categories: For text: share of each of the most frequent values among the rows with a value.
    """

    rows: int
    nulls: int
    distinct: int = 0
    mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    quantiles: Mapping[str, float] = field(default_factory=dict)
    categories: Mapping[str, float] = field(default_factory=dict)

    @property
    def null_share(self) -> float:
        """Share of rows with a null; 0 without rows."""
        return self.nulls / self.rows if self.rows else 0.0

    def value(self, figure: str) -> float | None:
        """Return a figure by its name in :data:`nightjar.declaration.rules.NightFigure`; None where undefined."""
        if figure in QUANTILES:
            return self.quantiles.get(figure)
        value: float | None = getattr(self, figure)
        return None if value is None else float(value)


@dataclass(frozen=True)
class Moments:
    """Exact count, mean, sum of squared deviations and range of a column; only counts for text."""

    nulls: int
    values: int
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf

    def merge(self, other: Moments) -> Moments:
        """Merge two sets of rows: Chan, Golub and LeVeque (1979), STAN-CS-79-773, eq. 2.1."""
        values = self.values + other.values
        if not values:
            return Moments(self.nulls + other.nulls, 0)
        delta = other.mean - self.mean
        return Moments(
            self.nulls + other.nulls,
            values,
            self.mean + delta * other.values / values,
            self.squares + other.squares + delta * delta * self.values * other.values / values,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )


@dataclass(frozen=True)
class Part:
    """Some rows of a night: their exact moments, and the rows with the smallest hashes."""

    rows: int
    moments: Mapping[str, Moments]
    sample: pa.Table

    def merge(self, other: Part) -> Part:
        """Merge two parts; associative and commutative (moments up to floating point)."""
        return Part(
            self.rows + other.rows,
            {name: moments.merge(other.moments[name]) for name, moments in self.moments.items()},
            _least(pa.concat_tables([self.sample, other.sample])),
        )


def part_of(rows: pa.Table) -> Part:
    """Return the part of rows with a column :data:`HASH` (int64, of the row's key) and columns of text and doubles."""
    names = [name for name in rows.column_names if name != HASH]
    return Part(rows.num_rows, {name: _moments(rows[name]) for name in names}, _least(rows))


def figures_of(part: Part) -> dict[str, Figures]:
    """Return the figures of each column."""
    return {name: _figures(part, name) for name in part.moments}


def _moments(column: pa.ChunkedArray) -> Moments:
    nulls = column.null_count
    if pa.types.is_string(column.type) or nulls == len(column):
        return Moments(nulls, len(column) - nulls)
    values = column.drop_null().to_numpy()
    mean = float(values.mean())
    return Moments(
        nulls, values.size, mean, float(((values - mean) ** 2).sum()), float(values.min()), float(values.max())
    )


def _least(rows: pa.Table) -> pa.Table:
    if rows.num_rows <= SAMPLE_ROWS:
        return rows.combine_chunks()
    return rows.take(pc.select_k_unstable(rows, SAMPLE_ROWS, [(HASH, "ascending")])).combine_chunks()


def _figures(part: Part, name: str) -> Figures:
    moments, values = part.moments[name], part.sample[name].drop_null()
    counted = Figures(rows=part.rows, nulls=moments.nulls, distinct=len(pc.unique(values)))
    if not len(values):
        return counted
    if pa.types.is_string(values.type):
        return Figures(**{**vars(counted), "categories": _shares(values)})
    quantiles = np.quantile(values.to_numpy(), list(QUANTILES.values()))
    return Figures(
        rows=part.rows,
        nulls=moments.nulls,
        distinct=counted.distinct,
        mean=moments.mean,
        std=float(np.sqrt(moments.squares / moments.values)),
        minimum=moments.minimum,
        maximum=moments.maximum,
        quantiles=dict(zip(QUANTILES, quantiles.tolist(), strict=True)),
    )


def _shares(values: pa.ChunkedArray) -> dict[str, float]:
    counts = {item["values"]: item["counts"] for item in pc.value_counts(values).to_pylist()}
    listed: Sequence[str] = sorted(counts, key=lambda name: (-counts[name], name))[:LISTED_CATEGORIES]
    return {name: counts[name] / len(values) for name in listed}
