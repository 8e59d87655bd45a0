"""A/B experiments: the difference between variants, when it may be believed, and whether the split is as declared.

Pure functions on counts and moments, night by night. A unit counts once, by its first scored night, so that units are
independent of each other, and each night adds new ones.
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
"""A variant of fewer units has no interval: intervals rest on means being normal."""
MIN_NEW_SHARE = 0.01
"""Nights that together add at most this share of all units add almost none."""
MIN_STALLED_NIGHTS = 2
MAX_MISMATCH_P = 0.001
"""Below this, the units are not split as declared."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Count, mean and sum of squared differences from it, of some units' values.

    They add up (Chan, Golub and LeVeque, 1983, Algorithms for computing the sample variance).
    """

    units: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        units = self.units + other.units
        if not units:
            return self
        apart = other.mean - self.mean
        return Moments(
            units=units,
            mean=self.mean + apart * other.units / units,
            squares=self.squares + other.squares + apart**2 * self.units * other.units / units,
        )

    @property
    def variance_of_mean(self) -> float:
        """Of at least two units."""
        return self.squares / (self.units - 1) / self.units


@dataclass(frozen=True, kw_only=True)
class Night:
    """What a night adds.

    Attributes:
        night: The scored night.
        moments: Variant to the values of its units that have one.
    """

    night: date
    moments: Mapping[str, Moments]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A challenger's mean less the champion's, on all nights up to one.

    Attributes:
        night: The last of the nights.
        difference: In the metric's unit.
        low: Lower end of the confidence interval, that is at the design's level.
        high: Upper end.
    """

    night: date
    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A challenger against the champion.

    Attributes:
        variant: The challenger's.
        verdict: ``higher`` or ``lower`` than the champion's mean; ``undecided`` at a fixed horizon that shows no
            difference; ``running`` before a decision; ``mismatch`` where the split is wrong, so that no difference is
            to be believed; ``no_data`` before the first night with labels.
        champion: The champion's units on the nights that count.
        challenger: The challenger's.
        path: The interval after each night, oldest first; before a fixed horizon is reached there is none.
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
        """The difference as a share of the champion's mean; None where there is none."""
        if not self.champion.mean or not self.challenger.units:
            return None
        return self.challenger.mean / self.champion.mean - 1


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What the nights so far say.

    Attributes:
        nights: Nights that count; of a fixed horizon, none after it is reached.
        units: Variant to its units with a value.
        mismatch_p: P value of the split; see :func:`mismatch_p`.
        comparisons: Each challenger's.
    """

    nights: tuple[date, ...]
    units: Mapping[str, int] = field(default_factory=dict)
    mismatch_p: float
    comparisons: tuple[Comparison, ...]


def analyse(experiment: Experiment, nights: Sequence[Night]) -> Analysis:
    """Judge the experiment by its nights, oldest first.

    The same nights give the same answer whenever they are looked at: the first nights that hold the units of a fixed
    horizon are the only ones that count, and a sequential decision stands from the first night that shows it on.
    """
    counted = _within_horizon(experiment, nights)
    sums = {
        variant: list(accumulate(night.moments.get(variant, Moments()) for night in counted))
        for variant in experiment.variants
    }
    units = {variant: of_it[-1].units if of_it else 0 for variant, of_it in sums.items()}
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
    """P value of the units being split as declared, valid however often it is looked at.

    The least of 1 / Bayes factor of a Dirichlet mixture around the declared shares against these (Lindon and Malek,
    2022, Anytime-valid inference for multinomial count data).

    Args:
        experiment: Declares the shares.
        counts: Variant to its units so far, after each night.

    Returns:
        At most 1; 1 without a unit.
    """
    least = 0.0
    for seen in counts:
        total = sum(seen.values())
        log_factor = math.lgamma(_WEIGHT) - math.lgamma(_WEIGHT + total)
        for variant, share in experiment.variants.items():
            units = seen[variant]
            log_factor += math.lgamma(_WEIGHT * share + units) - math.lgamma(_WEIGHT * share) - units * math.log(share)
        least = min(least, -log_factor)
    return math.exp(least)


_WEIGHT = 1000.0
"""Of the mixture's prior, in units: how near to the declared shares a mismatch is expected to be."""


def half_width(design: FixedHorizon | Sequential, variance: float, challengers: int) -> float:
    """Half the width of the confidence interval of a difference of means.

    Fixed horizon: the normal quantile times the standard error (Welch). Sequential: the normal mixture's boundary,
    ``sqrt(2 v (v + t) / t * ln(sqrt((v + t) / v) / alpha))`` with the variance ``v`` of the difference and ``t``, the
    square of the effect that one would act on, which holds on all nights at once (Johari, Koomen, Pekelis and Walsh,
    2022, Always valid inference; for estimated variances in the limit, Waudby-Smith, Arbour, Sinha, Kennedy and
    Ramdas, 2024, Time-uniform central limit theory and asymptotic confidence sequences).

    Args:
        design: With the probability of error over all challengers, shared alike (Bonferroni).
        variance: Of the difference.
        challengers: How many are compared.
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
    """The nights up to the one that reaches a fixed horizon; all of a sequential design."""
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
    intervals = [_interval(experiment, *after) for after in zip(dates, champion, challenger, strict=True)]
    reached = isinstance(design, Sequential) or total >= design.units
    seen = intervals if isinstance(design, Sequential) else intervals[-1:] if reached else []
    path = tuple(interval for interval in seen if interval is not None)
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
    """None while a variant has fewer than :data:`MIN_UNITS`."""
    if min(champion.units, challenger.units) < MIN_UNITS:
        return None
    difference = challenger.mean - champion.mean
    half = half_width(
        experiment.design,
        champion.variance_of_mean + challenger.variance_of_mean,
        len(experiment.challengers),
    )
    # labels and Brier scores lie within 0 and 1
    most = math.inf if experiment.metric == "cost" else 1.0
    low, high = max(difference - half, -most), min(difference + half, most)
    return Interval(night=night, difference=difference, low=low, high=high)


def nights_without_new_units(nights: Sequence[Night], looked_at: Sequence[date]) -> tuple[date, ...]:
    """The last nights that together brought almost no new unit; none where there are fewer than two.

    A unit counts once: an experiment on the same units every night stays where it is, however long it runs.

    Args:
        nights: What each night adds.
        looked_at: All scored nights with labels, oldest first; those that added nothing too.
    """
    added = {night.night: sum(moments.units for moments in night.moments.values()) for night in nights}
    most = MIN_NEW_SHARE * sum(added.values())
    found: list[date] = []
    new = 0
    for night in reversed(looked_at):
        new += added.get(night, 0)
        if new > most:
            break
        found.append(night)
    return tuple(reversed(found)) if len(found) >= MIN_STALLED_NIGHTS and added else ()
