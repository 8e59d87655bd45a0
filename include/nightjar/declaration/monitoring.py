"""How a use case is watched: drift, performance against late labels, and when a training is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import (
    Count,
    Declaration,
    NotNegative,
    PositiveShare,
    Probability,
    Share,
    refuse,
)

MAX_FALSE_ALARM_RATE = 0.05
"""At most this share of ordinary nights may be called ``drift``, and of their watched columns be said to have moved;
`make bench-drift-power` measures both (docs/drift.md)."""


@dataclass(frozen=True, kw_only=True)
class Drift(Declaration):
    """When a column counts as drifted: its effect (PSI) *and* its test must both say so.

    Nights before tell since when, without a say in the verdict.

    Attributes:
        max_psi: Population stability index above which the effect is large; what chance and ordinary nights account for
            has been taken off before. (The customary 0.25 is for figures of which nothing is, and misses shifts that
            0.1 finds with as few false alarms: docs/drift.md.)
        max_q: False discovery rate (Benjamini-Hochberg over the columns) below which the test is significant.
        max_drifted_share: The night's verdict is ``drift`` when a larger share of the watched columns drifted.
        recent_nights: A night is compared with so many nights before it, too.
        same_weekday_weeks: And with the same weekday of so many weeks before it.
    """

    max_psi: NotNegative = 0.1
    max_q: Probability = 0.01
    max_drifted_share: Share = 0.3
    recent_nights: Count = 14
    same_weekday_weeks: Count = 4


@dataclass(frozen=True, kw_only=True)
class Performance(Declaration):
    """When a night is judged against the truth, and where.

    Attributes:
        matured_after_nights: A night is judged so many nights later, when its labels have been ingested.
        min_label_share: It is judged only when the outcome of at least this share of its scores has landed by then,
            one without a label included.
        slices: Columns of the feature table by whose values it is judged apart as well.
        min_slice_rows: A slice of fewer labelled rows is not judged.
        confidence: Of the intervals.
    """

    matured_after_nights: Count = 3
    min_label_share: PositiveShare = 0.9
    slices: tuple[str, ...] = ()
    min_slice_rows: Count = 100
    confidence: Probability = 0.95


@dataclass(frozen=True, kw_only=True)
class Retraining(Declaration):
    """When monitoring asks for a training (an event of the asset ``retrain/<use_case>``).

    Any of three reasons will do: breaches, performance below the floor, age. Broken data never is one.

    Attributes:
        breaches: Asked for when so many ...
        of_nights: ... of the last so many nights were in breach: the verdict was drift, or a judged AUC lies below
            ``min_auc`` with its whole confidence interval.
        min_auc: The floor. Asked for, too, when the AUC over the last seven judged nights (four at least) lies below it
            with its whole interval, though none of them may alone; None for no floor.
        max_age_days: Asked for when the champion's training set ends longer ago than this.
        cooldown_days: Not asked for within so many days of the last request.
        max_per_month: Not asked for more often than this in 30 days.
    """

    breaches: Count = 3
    of_nights: Count = 7
    min_auc: Probability | None = None
    max_age_days: Count = 90
    cooldown_days: Count = 7
    max_per_month: Count = 3

    def check(self) -> None:
        """Refuse more breaches than there are nights."""
        if self.breaches > self.of_nights:
            refuse(
                f"breaches {self.breaches} of of_nights {self.of_nights} can never be",
                where="Retraining.breaches",
                fix="give breaches from 1 to of_nights",
            )
