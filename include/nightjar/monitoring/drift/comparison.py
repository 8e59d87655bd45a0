"""Drift of a night's columns against the training set. Pure numpy and scipy, on binned profiles.

A column has drifted when its effect (PSI above what chance and ordinary nights give) exceeds ``max_psi`` *and* its test
(chi-squared on the same bins, false discovery rate over all monitored columns) is significant: on a large night every
difference is significant, on a small night PSI alone is noise. Each column is compared twice, over all bins and for
missing values alone, and has the larger effect of the two. Ordinary nights differ so much in their weather that a fifth
of the values could go missing without exceeding that.
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
"""Variation of a reference without stored nights."""


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """Comparison of one column of a night with the reference.

    Attributes:
        name: The column.
        psi: Population stability index above :attr:`usual_psi`, at least 0; the larger of the PSI over all bins (the
            missing bin included) and the PSI of missing against present values.
        raw_psi: PSI before subtracting ``usual_psi``.
        usual_psi: PSI without drift: the larger of the expected PSI of two samples of these sizes and the 95th
            percentile of the reference's own nights.
        statistic: Chi-squared of homogeneity, divided by the reference's design effect.
        degrees: Degrees of freedom; 0 when fewer than two bins are large enough.
        p: p-value (:func:`nightjar.monitoring.drift.measures.two_sample_test`), doubled when both comparisons were
            made.
        q: q-value (FDR, Benjamini-Hochberg) over the monitored columns; None for a column that is not monitored.
        design_effect: Variation of the reference's own nights, as a multiple of that of independent rows.
        verdict: ``drift`` when psi > max_psi and q < max_q; ``not_watched`` for a column that is not monitored.
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
        """Missing share of the night minus that of the reference."""
        return self.night.null_share - self.reference.null_share

    @property
    def new_categories(self) -> tuple[str, ...]:
        """Up to ten categories that the reference does not have; empty when it does not list all of its own."""
        return self.night.unlisted if self.reference.others == 0 else ()

    @property
    def js_distance(self) -> float:
        """Jensen-Shannon distance over the bins and the missing bin."""
        return jensen_shannon(bin_counts(self.reference), bin_counts(self.night))

    @property
    def ks(self) -> float | None:
        """Kolmogorov-Smirnov statistic at the bins' borders; None for a categorical or an empty column."""
        if self.night.kind == "categorical":
            return None
        return kolmogorov_smirnov(np.array(self.reference.counts), np.array(self.night.counts))

    @property
    def wasserstein(self) -> float | None:
        """Wasserstein-1 distance in the column's unit; None for a column without sketches."""
        reference, night = self.reference.sketch, self.night.sketch
        return wasserstein(reference, night) if reference and night else None


@dataclass(frozen=True, kw_only=True)
class NightDrift:
    """Comparison of a night with the reference; monitored columns come first, the largest PSI first."""

    columns: tuple[ColumnDrift, ...]
    thresholds: Drift
    reference_rows: int
    night_rows: int

    @property
    def watched(self) -> tuple[ColumnDrift, ...]:
        """Monitored columns, which count for the verdict."""
        return tuple(c for c in self.columns if c.verdict != "not_watched")

    @property
    def by_name(self) -> dict[str, ColumnDrift]:
        """Every column by its name."""
        return {column.name: column for column in self.columns}

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """Monitored columns that drifted, the largest PSI first."""
        return tuple(c for c in self.columns if c.verdict == "drift")

    @property
    def drifted_share(self) -> float:
        """Share of the monitored columns that drifted."""
        return len(self.drifted) / len(self.watched)

    @property
    def verdict(self) -> NightVerdict:
        """``drift`` when more than the tolerated share of the monitored columns drifted."""
        return "drift" if self.drifted_share > self.thresholds.max_drifted_share else "stable"


def compare(night: Profile, reference: Profile, thresholds: Drift, *, watched: Sequence[str]) -> NightDrift:
    """Compare every column of ``night`` with the reference.

    Args:
        night: Profile in the reference's bins.
        reference: Profile of the training set.
        thresholds: Thresholds of a column and of a night.
        watched: Columns that count for the verdict; the others are only reported.

    Raises:
        GateError: when the night has no rows, a column is missing, or bins differ.
    """
    _check(night, reference, watched)
    comparisons = {
        name: compare_column(reference.columns[name], column, reference.variation.get(name, NO_VARIATION))
        for name, column in night.columns.items()
    }
    tests = {name: comparison.test() for name, comparison in comparisons.items()}
    q = dict(zip(watched, benjamini_hochberg([tests[name][2] for name in watched]), strict=True))
    columns = []
    for name, comparison in comparisons.items():
        statistic, degrees, p = tests[name]
        verdict: Verdict = "not_watched"
        if name in q:
            verdict = "drift" if comparison.psi > thresholds.max_psi and q[name] < thresholds.max_q else "stable"
        columns.append(
            ColumnDrift(
                name=name,
                psi=comparison.psi,
                raw_psi=comparison.raw_psi,
                usual_psi=comparison.usual_psi,
                statistic=statistic,
                degrees=degrees,
                p=p,
                q=q.get(name),
                design_effect=comparison.design_effect,
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
class ColumnComparison:
    """Difference between a column of one or more nights and the same column of a reference.

    Attributes:
        reference: Rows per bin of the reference.
        night: Rows per bin of the nights.
        raw_psi: See :class:`ColumnDrift`.
        usual_psi: See :class:`ColumnDrift`.
        design_effect: Divisor of chi-squared.
        comparisons: Number of comparisons of which this one has the larger effect.
    """

    reference: NDArray[np.int64]
    night: NDArray[np.int64]
    raw_psi: float
    usual_psi: float
    design_effect: float
    comparisons: int = 1

    @property
    def psi(self) -> float:
        """PSI above the usual one, at least 0."""
        return max(0.0, self.raw_psi - self.usual_psi)

    def test(self) -> tuple[float, int, float]:
        """Return chi-squared, its degrees of freedom, and the p-value (Bonferroni over the comparisons)."""
        statistic, degrees, p = two_sample_test(self.reference, self.night, self.design_effect)
        return statistic, degrees, min(1.0, self.comparisons * p)


def compare_column(
    reference: ColumnProfile, night: ColumnProfile, variation: NightVariation = NO_VARIATION
) -> ColumnComparison:
    """Compare a column over all bins and for missing values alone, and return the larger effect.

    Args:
        reference: Profile to compare with, e.g. of the training set or of the last nights.
        night: Profile of one or more nights, in the same bins.
        variation: Variation of the reference's own nights.
    """
    all_bins = _compare(bin_counts(reference), bin_counts(night), variation.psi, variation.design_effect)
    if variation.missing_psi is None or not reference.nulls + night.nulls:
        return all_bins
    missing = _compare(
        missing_counts(reference), missing_counts(night), variation.missing_psi, variation.missing_design_effect
    )
    return replace(max(all_bins, missing, key=lambda comparison: comparison.psi), comparisons=2)


def _compare(
    reference: NDArray[np.int64], night: NDArray[np.int64], usual_psi: float, design_effect: float
) -> ColumnComparison:
    usual_psi = max(expected_psi(reference, night), usual_psi)
    return ColumnComparison(reference, night, psi(reference, night), usual_psi, design_effect)


def _check(night: Profile, reference: Profile, watched: Sequence[str]) -> None:
    missing = sorted({*watched, *night.columns} - (night.columns.keys() & reference.columns.keys()))
    if missing or not watched:
        raise GateError(
            f"cannot compare {', '.join(missing)}: missing in the night or in the reference"
            if missing
            else "no column is monitored",
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
            f"{', '.join(differing)} have other bins than the reference",
            where="profile.json",
            how_many=len(differing),
            fix="count the night in the reference's bins",
        )
    empty = [n for n, c in night.columns.items() if c.rows == 0 or reference.columns[n].rows == 0]
    if empty:
        raise GateError(
            f"no rows to compare in {', '.join(empty)}",
            where="night or profile.json",
            how_many=len(empty),
            fix="clear the task that should have written the night, or train again",
        )
