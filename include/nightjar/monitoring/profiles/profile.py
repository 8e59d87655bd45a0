"""Profiles of columns: histograms, moments and quantile sketches. Standard library and numpy only.

The reference (the training set) fixes the bins of each column and the grid of each sketch. All nights are counted in
these bins, partial profiles add up, and memory does not grow with rows. Missing values (null, NaN, infinite) have a bin
of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import reduce
from typing import Any, Literal

from nightjar.monitoring.profiles.sample import Sample
from nightjar.monitoring.profiles.sketch import Grid, Sketch, merge_sketches
from nightjar.protocol.documents import parse_object

MAX_UNLISTED = 10
"""Maximum number of unlisted categories that a profile names."""

FORMAT = 2
"""Format 1, of older models, has no sketches; measures that need them are left out."""

ColumnKind = Literal["numeric", "categorical"]


@dataclass(frozen=True)
class ProfiledColumn:
    """A column to profile."""

    name: str
    kind: ColumnKind


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column's histogram and moments.

    Attributes:
        kind: ``numeric`` or ``categorical``.
        rows: Rows seen.
        nulls: Rows without a value (null, NaN or infinite); ``sum(counts) + nulls == rows``.
        counts: Rows per bin. Numeric: ``len(edges) + 1`` bins. Categorical: one per category, then all others.
        edges: Cut points of a numeric column, ascending; bin i holds ``edges[i-1] <= value < edges[i]``, the outer
            bins are open.
        categories: The listed categories, most frequent first.
        unlisted: Up to :data:`MAX_UNLISTED` categories that were counted as others, in order of name.
        mean: Mean of the values; None without values.
        variance: Population variance of the values.
        minimum: Smallest value.
        maximum: Largest value.
        sketch: Quantiles of a numeric column; None in profiles of format 1.
    """

    kind: ColumnKind
    rows: int
    nulls: int
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    mean: float | None = None
    variance: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    sketch: Sketch | None = None

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.bins) + 1:
            raise ValueError(f"{len(self.counts)} counts do not fit {len(self.bins)} edges or categories")
        if sum(self.counts) + self.nulls != self.rows:
            raise ValueError(f"{sum(self.counts)} counted and {self.nulls} missing are not {self.rows} rows")

    @property
    def bins(self) -> tuple[float, ...] | tuple[str, ...]:
        """Edges or categories. Two profiles can be compared and merged when these are equal."""
        return self.edges if self.kind == "numeric" else self.categories

    @property
    def values(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls

    @property
    def others(self) -> int:
        """Rows whose category is not listed; 0 for a numeric column."""
        return self.counts[-1] if self.kind == "categorical" else 0

    @property
    def null_share(self) -> float:
        """Share of rows without a value; 0 without rows."""
        return self.nulls / self.rows if self.rows else 0.0


@dataclass(frozen=True, kw_only=True)
class NightVariation:
    """Distance of single nights from the whole reference, without drift.

    The rows of a night share its weather and its recent past, so a single night always differs from three months.

    Attributes:
        psi: 95th percentile of the PSI of the reference's own nights.
        design_effect: Mean chi-squared per degree of freedom of the nights below it; at least 1 (independent rows).
        missing_psi: Like ``psi``, for missing against present values; None when unknown (an older training set).
        missing_design_effect: Like ``design_effect``, for missing against present values.
    """

    psi: float
    design_effect: float
    missing_psi: float | None = None
    missing_design_effect: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Profiles of several columns of the same rows.

    Attributes:
        rows: Rows seen.
        columns: Column to its profile.
        variation: Column to the variation of its nights; only for a reference that consists of nights.
        sample: Rows of a reference, with the columns of the domain classifier; None for a night and in format 1.
        usual_auc: AUC of the domain classifier for the reference's own nights; None when unknown.
    """

    rows: int
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)
    variation: Mapping[str, NightVariation] = field(default_factory=dict)
    sample: Sample | None = field(default=None, repr=False)
    usual_auc: float | None = None

    def with_column(self, name: str, column: ColumnProfile, night_variation: NightVariation | None = None) -> Profile:
        """Return this profile with one more column, e.g. the predictions (on rows of their own), and its variation."""
        variation = {**self.variation, name: night_variation} if night_variation else self.variation
        return replace(self, columns={**self.columns, name: column}, variation=variation)

    def to_json(self) -> str:
        """Return canonical JSON: equal profiles give the same bytes."""
        columns = {name: _compact(column) for name, column in self.columns.items()}
        variation = {name: asdict(values) for name, values in self.variation.items()}
        document = {"format": FORMAT, "rows": self.rows, "columns": columns, "variation": variation}
        if self.sample:
            document |= {"sample": dict(self.sample.columns), "usual_auc": self.usual_auc}
        return json.dumps(document, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Profile:
        """Invert :meth:`to_json`.

        Raises:
            ValueError: when the text is not a profile.
        """
        document = parse_object(text)
        if document.get("format") not in (1, FORMAT):
            raise ValueError(f"not a profile of format 1 or {FORMAT}")
        columns = {name: _expanded(column) for name, column in document["columns"].items()}
        variation = {name: NightVariation(**values) for name, values in document["variation"].items()}
        return cls(
            rows=document["rows"],
            columns=columns,
            variation=variation,
            sample=Sample(document["sample"]) if "sample" in document else None,
            usual_auc=document.get("usual_auc"),
        )


def merge(a: Profile, b: Profile) -> Profile:
    """Return the profile of all rows of ``a`` and ``b``, e.g. of a month from its nights.

    Associative and commutative: exact for counts and sketches, up to floating point for moments. Variation and samples
    do not add up and are left out.

    Raises:
        ValueError: when the columns or their bins differ.
    """
    if a.columns.keys() != b.columns.keys():
        raise ValueError(
            f"profiles with different columns cannot be merged: {sorted(a.columns.keys() ^ b.columns.keys())}"
        )
    columns = {name: merge_columns(a.columns[name], b.columns[name]) for name in a.columns}
    return Profile(rows=a.rows + b.rows, columns=columns)


def merge_all(profiles: Sequence[Profile]) -> Profile:
    """:func:`merge` of one profile or more."""
    return reduce(merge, profiles)


def merge_columns(a: ColumnProfile, b: ColumnProfile) -> ColumnProfile:
    """Merge two profiles of one column in the same bins.

    Raises:
        ValueError: when kinds or bins differ.
    """
    if (a.kind, a.bins) != (b.kind, b.bins):
        raise ValueError("profiles with different bins cannot be merged; count both in the bins of one reference")
    mean, variance = _merged_moments(a, b)
    return ColumnProfile(
        kind=a.kind,
        rows=a.rows + b.rows,
        nulls=a.nulls + b.nulls,
        counts=tuple(x + y for x, y in zip(a.counts, b.counts, strict=True)),
        edges=a.edges,
        categories=a.categories,
        unlisted=tuple(sorted({*a.unlisted, *b.unlisted})[:MAX_UNLISTED]),
        mean=mean,
        variance=variance,
        minimum=min((v for v in (a.minimum, b.minimum) if v is not None), default=None),
        maximum=max((v for v in (a.maximum, b.maximum) if v is not None), default=None),
        sketch=merge_sketches(a.sketch, b.sketch) if a.sketch and b.sketch else None,
    )


def _merged_moments(a: ColumnProfile, b: ColumnProfile) -> tuple[float | None, float | None]:
    """Return the merged mean and population variance; Chan, Golub and LeVeque (1979), STAN-CS-79-773, eq. 2.1."""
    if a.mean is None or a.variance is None:
        return b.mean, b.variance
    if b.mean is None or b.variance is None:
        return a.mean, a.variance
    total = a.values + b.values
    delta = b.mean - a.mean
    share = b.values / total
    variance = (1 - share) * a.variance + share * b.variance + share * (1 - share) * delta * delta
    return a.mean + share * delta, variance


def column_to_json(column: ColumnProfile) -> str:
    """Return one column's profile as canonical JSON."""
    return json.dumps(_compact(column), sort_keys=True, allow_nan=False)


def column_from_json(text: str) -> ColumnProfile:
    """Invert :func:`column_to_json`."""
    return _expanded(parse_object(text))


def _compact(column: ColumnProfile) -> dict[str, object]:
    """Fields without those that have their default."""
    compact: dict[str, object] = {
        name: value
        for name, value in ((field.name, getattr(column, field.name)) for field in fields(column))
        if value not in ((), None)
    }
    if column.sketch:
        compact["sketch"] = {**vars(column.sketch), "grid": vars(column.sketch.grid)}
    return compact


def _expanded(compact: Mapping[str, Any]) -> ColumnProfile:
    """Invert :func:`_compact`; lists become tuples."""
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in compact.items()}
    if sketch := values.get("sketch"):
        values["sketch"] = Sketch(Grid(**sketch["grid"]), tuple(sketch["keys"]), tuple(sketch["counts"]))
    return ColumnProfile(**values)
