"""A/B experiments: differences between variants, decisions, and a check of the split.

Pure functions on counts and moments of each night. A unit counts once, on its first scored night, so that units are
independent and each night adds new ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from statistics import NormalDist
from typing import Literal

from nightjar.declaration.experiment import CHAMPION, Experiment, FixedHorizon, Sequential

Verdict = Literal["no_data", "mismatch", "running", "undecided", "higher", "lower"]

MIN_UNITS = 100
"""Minimum units of a variant for an interval: intervals assume normal means."""
MIN_NEW_SHARE = 0.01
"""Nights that add at most this share of all units in total are stalled."""
MIN_STALLED_NIGHTS = 2
"""Minimum number of stalled nights to report."""
MAX_MISMATCH_P = 0.001
"""p-value below which the split differs from the declared one."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Count, mean and sum of squared deviations of the values of some units.

    Moments add up (Chan, Golub and LeVeque, 1983, Algorithms for computing the sample variance).
    """

    units: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        units = self.units + other.units
        if not units:
            return self
        distance = other.mean - self.mean
        return Moments(
            units=units,
            mean=self.mean + distance * other.units / units,
            squares=self.squares + other.squares + distance**2 * self.units * other.units / units,
        )

    @property
    def variance_of_mean(self) -> float:
        """Variance of the mean; at least two units."""
        return self.squares / (self.units - 1) / self.units


@dataclass(frozen=True, kw_only=True)
class Night:
    """New units of a night.

    Attributes:
        night: The scored night.
        moments: Variant to the moments of its new units with a value.
    """

    night: date
    moments: Mapping[str, Moments]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Challenger's mean minus the champion's, over all nights up to one.

    Attributes:
        night: Last of the nights.
        difference: Difference in the metric's unit.
        low: Lower end of the confidence interval, at the level of the design.
        high: Upper end of the interval.
    """

    night: date
    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of a challenger with the champion.

    Attributes:
        variant: Alias of the challenger.
        verdict: ``higher`` or ``lower`` than the champion's mean; ``undecided`` when a fixed horizon is reached without
            a difference; ``running`` before a decision; ``mismatch`` when the split is wrong and differences are not
            valid; ``no_data`` before the first night with labels.
        champion: Moments of the champion's units.
        challenger: Moments of the challenger's units.
        path: Interval after each night, oldest first; empty until a fixed horizon is reached.
        decided_on: First night whose interval excludes 0; None before.
    """

    variant: str
    verdict: Verdict
    champion: Moments
    challenger: Moments
    path: tuple[Interval, ...] = ()
    decided_on: date | None = None

    @property
    def lift(self) -> float | None:
        """Difference as a share of the champion's mean; None without units or with a mean of 0."""
        if not self.champion.mean or not self.challenger.units:
            return None
        return self.challenger.mean / self.champion.mean - 1


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Results of an experiment so far.

    Attributes:
        nights: Nights that count; with a fixed horizon, those until it is reached.
        units: Variant to its number of units with a value.
        mismatch_p: p-value of the split; see :func:`mismatch_p`.
        comparisons: Comparison of each challenger.
    """

    nights: tuple[date, ...]
    units: Mapping[str, int] = field(default_factory=dict)
    mismatch_p: float
    comparisons: tuple[Comparison, ...]


def analyse(experiment: Experiment, nights: Sequence[Night]) -> Analysis:
    """Analyse an experiment from its nights, oldest first.

    The result depends on the nights alone: with a fixed horizon only the first nights with enough units count, and a
    sequential decision is final from the first night that shows it.
    """
    counted = _within_horizon(experiment, nights)
    sums = {
        variant: list(accumulate(night.moments.get(variant, Moments()) for night in counted))
        for variant in experiment.variants
    }
    units = {variant: moments[-1].units if moments else 0 for variant, moments in sums.items()}
    p = mismatch_p(experiment, [{v: sums[v][i].units for v in sums} for i in range(len(counted))])
    dates = tuple(night.night for night in counted)
    return Analysis(
        nights=dates,
        units=units,
        mismatch_p=p,
        comparisons=tuple(
            _compare(experiment, variant, dates, sums[CHAMPION], sums[variant], total=sum(units.values()), p=p)
            for variant in experiment.challengers
        ),
    )


def mismatch_p(experiment: Experiment, counts: Sequence[Mapping[str, int]]) -> float:
    """Return the p-value of the hypothesis that units are split as declared; valid at every night (anytime-valid).

    This is the minimum of 1 / Bayes factor of a Dirichlet mixture around the declared shares against these (Lindon and
    Malek, 2022, Anytime-valid inference for multinomial count data).

    Args:
        experiment: The experiment, with the declared shares.
        counts: Variant to its cumulative units, after each night.

    Returns:
        A p-value; 1 without units.
    """
    smallest = 0.0
    for night_counts in counts:
        total = sum(night_counts.values())
        log_factor = math.lgamma(_WEIGHT) - math.lgamma(_WEIGHT + total)
        for variant, share in experiment.variants.items():
            units = night_counts[variant]
            log_factor += math.lgamma(_WEIGHT * share + units) - math.lgamma(_WEIGHT * share) - units * math.log(share)
        smallest = min(smallest, -log_factor)
    return math.exp(smallest)


_WEIGHT = 1000.0
"""Concentration of the mixture's prior, in units: how close to the declared shares a mismatch is expected."""


def half_width(design: FixedHorizon | Sequential, variance: float, challengers: int) -> float:
    """Return half the width of the confidence interval of a difference of means.

    Fixed horizon: the normal quantile times the standard error (Welch). Sequential: the normal mixture's boundary,
    ``sqrt(2 v (v + t) / t * ln(sqrt((v + t) / v) / alpha))`` with the variance ``v`` of the difference and ``t``, the
    square of the relevant effect, which is valid on all nights simultaneously (Johari, Koomen, Pekelis and Walsh,
    2022, Always valid inference; for estimated variances in the limit, Waudby-Smith, Arbour, Sinha, Kennedy and
    Ramdas, 2024, Time-uniform central limit theory and asymptotic confidence sequences).

    Args:
        design: The design; its error probability is shared equally by all challengers (Bonferroni).
        variance: Variance of the difference.
        challengers: Number of challengers.
    """
    alpha = design.alpha / challengers
    if isinstance(design, FixedHorizon):
        return NormalDist().inv_cdf(1 - alpha / 2) * math.sqrt(variance)
    if not variance:
        return 0.0
    mixture = design.effect**2
    ratio = (variance + mixture) / variance
    return math.sqrt(2 * variance * (variance + mixture) / mixture * math.log(math.sqrt(ratio) / alpha))


def _within_horizon(experiment: Experiment, nights: Sequence[Night]) -> list[Night]:
    """Return the nights until a fixed horizon is reached, or all nights of a sequential design."""
    if isinstance(experiment.design, Sequential):
        return list(nights)
    kept: list[Night] = []
    units = 0
    for night in nights:
        if units >= experiment.design.units:
            break
        kept.append(night)
        units += sum(moments.units for moments in night.moments.values())
    return kept


def _compare(
    experiment: Experiment,
    variant: str,
    dates: Sequence[date],
    champion: Sequence[Moments],
    challenger: Sequence[Moments],
    *,
    total: int,
    p: float,
) -> Comparison:
    design = experiment.design
    intervals = [_interval(experiment, *cumulative) for cumulative in zip(dates, champion, challenger, strict=True)]
    reached = isinstance(design, Sequential) or total >= design.units
    shown = intervals if isinstance(design, Sequential) else intervals[-1:] if reached else []
    path = tuple(interval for interval in shown if interval is not None)
    first = next((interval for interval in path if interval.excludes_zero), None)
    verdict: Verdict
    if not total:
        verdict = "no_data"
    elif p < MAX_MISMATCH_P:
        verdict = "mismatch"
    elif first is not None:
        verdict = "higher" if first.low > 0 else "lower"
    elif isinstance(design, FixedHorizon) and reached:
        verdict = "undecided"
    else:
        verdict = "running"
    return Comparison(
        variant=variant,
        verdict=verdict,
        champion=champion[-1] if champion else Moments(),
        challenger=challenger[-1] if challenger else Moments(),
        path=path,
        decided_on=first.night if first and verdict in {"higher", "lower"} else None,
    )


def _interval(experiment: Experiment, night: date, champion: Moments, challenger: Moments) -> Interval | None:
    """Return the interval; None while a variant has fewer than :data:`MIN_UNITS` units."""
    if min(champion.units, challenger.units) < MIN_UNITS:
        return None
    difference = challenger.mean - champion.mean
    half = half_width(
        experiment.design,
        champion.variance_of_mean + challenger.variance_of_mean,
        len(experiment.challengers),
    )
    # Labels and Brier scores lie between 0 and 1.
    limit = math.inf if experiment.metric == "cost" else 1.0
    low, high = max(difference - half, -limit), min(difference + half, limit)
    return Interval(night=night, difference=difference, low=low, high=high)


def find_stalled_nights(nights: Sequence[Night], labelled: Sequence[date]) -> tuple[date, ...]:
    """Return the last nights if they added almost no new units; empty if there are fewer than two.

    A unit counts once, so an experiment with the same units every night makes no progress.

    Args:
        nights: New units of each night.
        labelled: All scored nights with labels, oldest first, including those without new units.
    """
    added = {night.night: sum(moments.units for moments in night.moments.values()) for night in nights}
    limit = MIN_NEW_SHARE * sum(added.values())
    stalled: list[date] = []
    new = 0
    for night in reversed(labelled):
        new += added.get(night, 0)
        if new > limit:
            break
        stalled.append(night)
    return tuple(reversed(stalled)) if len(stalled) >= MIN_STALLED_NIGHTS and added else ()
