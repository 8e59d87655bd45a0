"""How a use case is monitored: drift, performance against late labels, and when to request a training."""

from __future__ import annotations

from dataclasses import dataclass, field

from nightjar.declaration.declared import (
    Count,
    Declaration,
    Name,
    NotNegative,
    PositiveShare,
    Probability,
    Share,
    refuse,
)

MAX_FALSE_ALARM_RATE = 0.05
"""Maximum share of ordinary nights with the verdict ``drift``, and of their monitored columns reported as drifted.
`make bench-drift-power` measures both (docs/drift.md)."""


@dataclass(frozen=True, kw_only=True)
class Drift(Declaration):
    """Thresholds of drift. A column has drifted when both its effect size (PSI) and its test exceed them.

    Comparisons with earlier nights show when a change began; they do not count towards the verdict.

    Attributes:
        max_psi: Population stability index above which the effect is large. Sampling noise and ordinary variation
            between nights are subtracted first. (The common threshold of 0.25 applies to a PSI without that correction.
            It misses shifts that 0.1 finds, at the same false alarm rate: docs/drift.md.)
        max_q: False discovery rate (Benjamini-Hochberg over the columns) below which the test is significant.
        max_drifted_share: The night's verdict is ``drift`` when a larger share of the monitored columns has drifted.
        recent_nights: Number of preceding nights that a night is also compared with.
        same_weekday_weeks: Number of preceding weeks whose same weekday a night is also compared with.
    """

    max_psi: NotNegative = 0.1
    max_q: Probability = 0.01
    max_drifted_share: Share = 0.3
    recent_nights: Count = 14
    same_weekday_weeks: Count = 4


@dataclass(frozen=True, kw_only=True)
class Performance(Declaration):
    """When and where predictions are compared with labels.

    Attributes:
        matured_after_nights: Nights until a night's labels have been ingested and it is evaluated, at least
            ``Target.label_horizon_nights``; None for two more than these.
        min_label_share: Minimum share of a night's scores whose outcome has landed by then. An outcome without a label
            counts too.
        slices: Columns of the feature table; performance is also measured per value of each.
        min_slice_rows: Minimum number of labelled rows of an evaluated slice.
        confidence: Level of the confidence intervals.
        unit: Column of the feature table whose rows belong together, e.g. ``customer_id``: intervals are clustered by
            it. None when rows are independent. Not for a ranking, whose groups are units already.
    """

    matured_after_nights: Count | None = None
    min_label_share: PositiveShare = 0.9
    slices: tuple[str, ...] = ()
    min_slice_rows: Count = 100
    confidence: Probability = 0.95
    unit: Name | None = None


@dataclass(frozen=True, kw_only=True)
class Retraining(Declaration):
    """When monitoring requests a training (an event of the asset ``retrain/<use_case>``).

    Reasons are breaches, performance below the floor, and age. A night with broken data never counts as a reason.

    Attributes:
        breaches: Number of breached nights ...
        of_nights: ... among this many last nights. A night is in breach when its verdict is drift, or when the whole
            confidence interval of the monitored metric of its problem type (AUC, accuracy or mean absolute error) is
            worse than ``floor`` or ``ceiling``.
        floor: Lowest acceptable value of the monitored metric, where more is better; None for no floor. The metric over
            the last seven evaluated nights (at least four) below it, with its whole interval, is a reason too, even
            where no single night is in breach.
        ceiling: The same where less is better: highest acceptable value.
        max_age_days: Maximum days since the end of the champion's training set.
        cooldown_days: Minimum days between two requests.
        max_per_month: Maximum requests in 30 days.
    """

    breaches: Count = 3
    of_nights: Count = 7
    floor: NotNegative | None = None
    ceiling: NotNegative | None = None
    max_age_days: Count = 90
    cooldown_days: Count = 7
    max_per_month: Count = 3

    def check(self) -> None:
        """Check that breaches are at most the number of nights."""
        if self.breaches > self.of_nights:
            refuse(
                f"breaches {self.breaches} of of_nights {self.of_nights} is impossible",
                where="Retraining.breaches",
                fix="give breaches from 1 to of_nights",
            )


@dataclass(frozen=True, kw_only=True)
class Monitoring(Declaration):
    """How a use case is monitored.

    Attributes:
        drift: Drift thresholds.
        performance: When and where predictions are compared with labels.
        retraining: When monitoring requests a training; None for never.
    """

    drift: Drift = field(default_factory=Drift)
    performance: Performance = field(default_factory=Performance)
    retraining: Retraining | None = None
