"""Profiles: what a column looked like, in numbers of fixed size. Standard library and numpy only.

A profile is a histogram per column in bins that the reference (the training set) fixed once, and a quantile sketch of
each numeric one, so that every night is counted in the same bins, partial profiles add up, and memory does not grow
with rows. Missing values (null, NaN, infinite) are a bin of their own.
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
"""Names of categories outside the reference that a profile keeps as examples."""

FORMAT = 2
"""Format 1, of models trained before, has no sketches; it is read, and measures that need them are left out."""

ColumnKind = Literal["numeric", "categorical"]


@dataclass(frozen=True)
class ProfiledColumn:
    """A column to profile, and how it is counted."""

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
        unlisted: Up to :data:`MAX_UNLISTED` categories that were counted as others, the first by name.
        mean: Mean of the values; None when there is none.
        variance: Population variance of the values.
        minimum: Least value.
        maximum: Greatest value.
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
        """What delimits the bins: edges or categories. Two profiles compare and merge when these are equal."""
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
        """Share of rows without a value, 0 for no rows."""
        return self.nulls / self.rows if self.rows else 0.0


@dataclass(frozen=True, kw_only=True)
class NightVariation:
    """How far single nights of the reference lie from all of it, without any drift.

    Rows of a night share its weather and its recent past, so that one night never looks like three months.

    Attributes:
        psi: PSI that 19 of 20 of the reference's own nights stay below.
        design_effect: Mean chi-squared per degree of freedom of these 19 of 20, at least 1; 1 for independent rows.
        missing_psi: As ``psi``, of having a value or none alone; None where that is not known (of a training set frozen
            before it was looked at).
        missing_design_effect: As ``design_effect``, of the same.
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
        variation: Column to how much its nights vary; only a reference taken from nights knows it.
        sample: Rows of a reference, of the columns that the domain classifier looks at; None in a night, and in
            profiles of format 1.
        usual_auc: How well that tells one of the reference's own nights from the others; None when not known.
    """

    rows: int
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)
    variation: Mapping[str, NightVariation] = field(default_factory=dict)
    sample: Sample | None = field(default=None, repr=False)
    usual_auc: float | None = None

    def with_column(self, name: str, column: ColumnProfile, varies: NightVariation | None = None) -> Profile:
        """This profile with one more column, e.g. the model's predictions (on rows of their own), and how it varies."""
        variation = {**self.variation, name: varies} if varies else self.variation
        return replace(self, columns={**self.columns, name: column}, variation=variation)

    def to_json(self) -> str:
        """Canonical JSON: the same profile gives the same bytes."""
        columns = {name: _compact(column) for name, column in self.columns.items()}
        variation = {name: asdict(varies) for name, varies in self.variation.items()}
        document = {"format": FORMAT, "rows": self.rows, "columns": columns, "variation": variation}
        if self.sample:
            document |= {"sample": dict(self.sample.columns), "usual_auc": self.usual_auc}
        return json.dumps(document, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Profile:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: when the text is no profile.
        """
        document = parse_object(text)
        if document.get("format") not in (1, FORMAT):
            raise ValueError(f"not a profile of format 1 or {FORMAT}")
        columns = {name: _expanded(column) for name, column in document["columns"].items()}
        variation = {name: NightVariation(**varies) for name, varies in document["variation"].items()}
        return cls(
            rows=document["rows"],
            columns=columns,
            variation=variation,
            sample=Sample(document["sample"]) if "sample" in document else None,
            usual_auc=document.get("usual_auc"),
        )


def merge(a: Profile, b: Profile) -> Profile:
    """The profile of the rows of ``a`` and ``b`` together: a month from its nights.

    Associative and commutative: counts and sketches exactly, moments up to floating point. How nights vary does not
    add up, and is left out like samples.

    Raises:
        ValueError: when the columns or their bins differ.
    """
    if a.columns.keys() != b.columns.keys():
        raise ValueError(f"profiles of other columns do not merge: {sorted(a.columns.keys() ^ b.columns.keys())}")
    columns = {name: merge_columns(a.columns[name], b.columns[name]) for name in a.columns}
    return Profile(rows=a.rows + b.rows, columns=columns)


def merge_all(profiles: Sequence[Profile]) -> Profile:
    """:func:`merge` of one profile or more."""
    return reduce(merge, profiles)


def merge_columns(a: ColumnProfile, b: ColumnProfile) -> ColumnProfile:
    """Add two profiles of one column in the same bins.

    Raises:
        ValueError: when kinds or bins differ.
    """
    if (a.kind, a.bins) != (b.kind, b.bins):
        raise ValueError("profiles in other bins do not merge; count both in the same reference's bins")
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
    """Mean and population variance of both; Chan, Golub and LeVeque (1979), STAN-CS-79-773, eq. 2.1."""
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
    """One column's profile as canonical JSON."""
    return json.dumps(_compact(column), sort_keys=True, allow_nan=False)


def column_from_json(text: str) -> ColumnProfile:
    """Read what :func:`column_to_json` wrote."""
    return _expanded(parse_object(text))


def _compact(column: ColumnProfile) -> dict[str, object]:
    """Fields that say something; the defaults are left out."""
    compact: dict[str, object] = {
        name: value
        for name, value in ((field.name, getattr(column, field.name)) for field in fields(column))
        if value not in ((), None)
    }
    if column.sketch:
        compact["sketch"] = {**vars(column.sketch), "grid": vars(column.sketch.grid)}
    return compact


def _expanded(compact: Mapping[str, Any]) -> ColumnProfile:
    """The inverse of :func:`_compact`; JSON's lists are tuples."""
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in compact.items()}
    if sketch := values.get("sketch"):
        values["sketch"] = Sketch(Grid(**sketch["grid"]), tuple(sketch["keys"]), tuple(sketch["counts"]))
    return ColumnProfile(**values)
