"""Drift: whether a night's columns look like the training set's. Pure numpy and scipy, on binned profiles.

A column drifted when its effect (PSI, freed of what chance and ordinary nights alone would give) *and* its test
(chi-squared on the same bins, false discovery rate over all watched columns) both say so: on a large night anything is
significant, on a small one PSI alone is noise. Each column is looked at twice, in all its bins and for missing values
alone, and the larger effect is its own: ordinary nights differ so much in their weather that a fifth of it could go
missing and be no more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nightjar.declaration.monitoring import Drift
from nightjar.monitoring.drift.measures import (
    benjamini_hochberg,
    bin_counts,
    expected_psi,
    jensen_shannon,
    kolmogorov_smirnov,
    missing_counts,
    psi,
    two_sample_test,
)
from nightjar.monitoring.profiles.profile import ColumnProfile, NightVariation, Profile
from nightjar.monitoring.profiles.sketch import wasserstein
from nightjar.protocol.errors import GateError

Verdict = Literal["stable", "drift", "not_watched"]
NightVerdict = Literal["stable", "drift"]
NO_VARIATION = NightVariation(psi=0.0, design_effect=1.0)
"""Of a reference of which no nights are known."""


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """How one column of a night compares with the reference.

    Attributes:
        name: The column.
        psi: Population stability index less :attr:`usual_psi`, at least 0: over the bins and the missing bin, or of
            having a value or none, whichever is larger.
        raw_psi: PSI as counted.
        usual_psi: PSI without any drift: the larger of what chance gives two samples of these sizes on average, and of
            what 19 of 20 of the reference's own nights stay below.
        statistic: Chi-squared of homogeneity, divided by the reference's design effect.
        degrees: Its degrees of freedom; 0 when no two bins are large enough.
        p: P value (:func:`nightjar.monitoring.drift.measures.two_sample_test`), for two looks at a column doubled.
        q: Benjamini-Hochberg q over the watched columns; None for a column that is not watched.
        design_effect: How many times as much the reference's own nights vary as independent rows would.
        verdict: ``drift`` when psi > max_psi and q < max_q; ``not_watched`` columns never are.
        reference: The column in the training set.
        night: The column in the night.
    """

    name: str
    psi: float
    raw_psi: float
    usual_psi: float
    statistic: float
    degrees: int
    p: float
    q: float | None
    design_effect: float
    verdict: Verdict
    reference: ColumnProfile
    night: ColumnProfile

    @property
    def null_delta(self) -> float:
        """Change of the missing share, night less reference."""
        return self.night.null_share - self.reference.null_share

    @property
    def new_categories(self) -> tuple[str, ...]:
        """Categories that the reference, which lists all of its own, has never seen (up to ten)."""
        return self.night.unlisted if self.reference.others == 0 else ()

    @property
    def js_distance(self) -> float:
        """Jensen-Shannon distance over the bins and the missing bin."""
        return jensen_shannon(bin_counts(self.reference), bin_counts(self.night))

    @property
    def ks(self) -> float | None:
        """Kolmogorov-Smirnov statistic at the bins' borders; None for a categorical column, or one without values."""
        if self.night.kind == "categorical":
            return None
        return kolmogorov_smirnov(np.array(self.reference.counts), np.array(self.night.counts))

    @property
    def wasserstein(self) -> float | None:
        """Wasserstein-1 distance in the column's unit; None for a categorical column, or one that has no sketch."""
        then, now = self.reference.sketch, self.night.sketch
        return wasserstein(then, now) if then and now else None


@dataclass(frozen=True, kw_only=True)
class NightDrift:
    """A night against the reference: every column, watched ones first, worst first, and the verdict."""

    columns: tuple[ColumnDrift, ...]
    thresholds: Drift
    reference_rows: int
    night_rows: int

    @property
    def watched(self) -> tuple[ColumnDrift, ...]:
        """Columns that count for the verdict."""
        return tuple(c for c in self.columns if c.verdict != "not_watched")

    @property
    def by_name(self) -> dict[str, ColumnDrift]:
        """Every column by its name."""
        return {column.name: column for column in self.columns}

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """Watched columns that drifted, worst first."""
        return tuple(c for c in self.columns if c.verdict == "drift")

    @property
    def drifted_share(self) -> float:
        """Share of the watched columns that drifted."""
        return len(self.drifted) / len(self.watched)

    @property
    def verdict(self) -> NightVerdict:
        """``drift`` when more than the tolerated share of the watched columns drifted."""
        return "drift" if self.drifted_share > self.thresholds.max_drifted_share else "stable"


def compare(night: Profile, reference: Profile, thresholds: Drift, *, watched: Sequence[str]) -> NightDrift:
    """Compare every column of ``night`` with the reference.

    Args:
        night: Counted in the reference's bins.
        reference: The training set's profile.
        thresholds: When a column, and a night, counts as drifted.
        watched: Columns that count for the verdict; the others are shown only.

    Raises:
        GateError: when there is no row to look at, a column is missing, or bins differ.
    """
    _check(night, reference, watched)
    looks = {
        name: look_at(reference.columns[name], column, reference.variation.get(name, NO_VARIATION))
        for name, column in night.columns.items()
    }
    tests = {name: look.test() for name, look in looks.items()}
    q = dict(zip(watched, benjamini_hochberg([tests[name][2] for name in watched]), strict=True))
    columns = []
    for name, look in looks.items():
        statistic, degrees, p = tests[name]
        verdict: Verdict = "not_watched"
        if name in q:
            verdict = "drift" if look.psi > thresholds.max_psi and q[name] < thresholds.max_q else "stable"
        columns.append(
            ColumnDrift(
                name=name,
                psi=look.psi,
                raw_psi=look.raw_psi,
                usual_psi=look.usual_psi,
                statistic=statistic,
                degrees=degrees,
                p=p,
                q=q.get(name),
                design_effect=look.design_effect,
                verdict=verdict,
                reference=reference.columns[name],
                night=night.columns[name],
            )
        )
    return NightDrift(
        columns=tuple(sorted(columns, key=lambda c: (c.verdict == "not_watched", -c.psi, c.p, c.name))),
        thresholds=thresholds,
        reference_rows=reference.rows,
        night_rows=night.rows,
    )


@dataclass(frozen=True)
class Look:
    """How far a column of one or more nights lies from what it is compared with.

    Attributes:
        then: Rows per bin of what is compared with.
        now: Rows per bin of the nights.
        raw_psi: As of :class:`ColumnDrift`.
        usual_psi: As of :class:`ColumnDrift`.
        design_effect: Divides chi-squared.
        looks: How many ways of looking this is the larger effect of.
    """

    then: NDArray[np.int64]
    now: NDArray[np.int64]
    raw_psi: float
    usual_psi: float
    design_effect: float
    looks: int = 1

    @property
    def psi(self) -> float:
        return max(0.0, self.raw_psi - self.usual_psi)

    def test(self) -> tuple[float, int, float]:
        """Chi-squared, its degrees of freedom, and p for so many looks."""
        statistic, degrees, p = two_sample_test(self.then, self.now, self.design_effect)
        return statistic, degrees, min(1.0, self.looks * p)


def look_at(reference: ColumnProfile, night: ColumnProfile, varies: NightVariation = NO_VARIATION) -> Look:
    """The larger effect of a column's bins and of its missing values alone.

    Args:
        reference: What is compared with, e.g. the training set or the last nights.
        night: One night, or several, in the same bins.
        varies: How the reference's own nights vary.
    """
    found = _look(bin_counts(reference), bin_counts(night), varies.psi, varies.design_effect)
    if varies.missing_psi is None or not reference.nulls + night.nulls:
        return found
    then, now = missing_counts(reference), missing_counts(night)
    missing = _look(then, now, varies.missing_psi, varies.missing_design_effect)
    return replace(max(found, missing, key=lambda look: look.psi), looks=2)


def _look(then: NDArray[np.int64], now: NDArray[np.int64], usual_psi: float, design_effect: float) -> Look:
    return Look(then, now, psi(then, now), max(expected_psi(then, now), usual_psi), design_effect)


def _check(night: Profile, reference: Profile, watched: Sequence[str]) -> None:
    missing = sorted({*watched, *night.columns} - (night.columns.keys() & reference.columns.keys()))
    if missing or not watched:
        raise GateError(
            f"no comparison for {', '.join(missing)}" if missing else "no column is watched",
            where="profile.json",
            how_many=max(1, len(missing)),
            fix="train on the declared features, and declare at least one with drift=True",
        )
    differing = [
        n
        for n, c in night.columns.items()
        if (c.kind, c.bins) != (reference.columns[n].kind, reference.columns[n].bins)
    ]
    if differing:
        raise GateError(
            f"{', '.join(differing)} were counted in other bins than the reference's",
            where="profile.json",
            how_many=len(differing),
            fix="count the night in the reference's bins",
        )
    empty = [n for n, c in night.columns.items() if c.rows == 0 or reference.columns[n].rows == 0]
    if empty:
        raise GateError(
            f"there is no row to compare in {', '.join(empty)}",
            where="night or profile.json",
            how_many=len(empty),
            fix="clear the task that should have written the night, or train again",
        )
