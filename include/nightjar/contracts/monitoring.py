"""How a use case is watched: drift, performance against late labels, and when a training is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.contracts.errors import ConfigurationError

MAX_FALSE_ALARM_RATE = 0.05
"""At most this share of ordinary nights may be called ``drift``, and of their watched columns be said to have moved;
`make bench-drift-power` measures both (docs/drift.md)."""


@dataclass(frozen=True, kw_only=True)
class Drift:
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

    max_psi: float = 0.1
    max_q: float = 0.01
    max_drifted_share: float = 0.3
    recent_nights: int = 14
    same_weekday_weeks: int = 4

    def __post_init__(self) -> None:
        if self.recent_nights < 1 or self.same_weekday_weeks < 1:
            raise ConfigurationError(
                f"recent_nights {self.recent_nights} or same_weekday_weeks {self.same_weekday_weeks} is below 1",
                where="Drift",
                fix="give both from 1 on",
            )


@dataclass(frozen=True, kw_only=True)
class Performance:
    """When a night is judged against the truth, and where.

    Attributes:
        matured_after_nights: A night is judged so many nights later, when its labels have been ingested.
        min_label_share: It is judged only when the outcome of at least this share of its scores has landed by then,
            one without a label (a cancelled flight) included.
        slices: Columns of the feature table by whose values it is judged apart as well.
        min_slice_rows: A slice of fewer labelled rows is not judged.
        confidence: Of the intervals.
    """

    matured_after_nights: int = 3
    min_label_share: float = 0.9
    slices: tuple[str, ...] = ()
    min_slice_rows: int = 100
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.matured_after_nights < 1 or self.min_slice_rows < 1:
            raise ConfigurationError(
                f"matured_after_nights {self.matured_after_nights} or min_slice_rows {self.min_slice_rows} is below 1",
                where="Performance",
                fix="give both from 1 on; labels come on a later night than scores",
            )
        if not 0 < self.min_label_share <= 1 or not 0 < self.confidence < 1:
            raise ConfigurationError(
                f"min_label_share {self.min_label_share:g} and confidence {self.confidence:g} are no shares",
                where="Performance",
                fix="give min_label_share above 0 and at most 1, confidence between 0 and 1",
            )


@dataclass(frozen=True, kw_only=True)
class Retraining:
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

    breaches: int = 3
    of_nights: int = 7
    min_auc: float | None = None
    max_age_days: int = 90
    cooldown_days: int = 7
    max_per_month: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.breaches <= self.of_nights:
            raise ConfigurationError(
                f"breaches {self.breaches} of of_nights {self.of_nights} can never be, or always are",
                where="Retraining",
                fix="give breaches from 1 to of_nights",
            )
        if min(self.max_age_days, self.cooldown_days, self.max_per_month) < 1:
            raise ConfigurationError(
                f"max_age_days {self.max_age_days}, cooldown_days {self.cooldown_days} or max_per_month "
                f"{self.max_per_month} is below 1",
                where="Retraining",
                fix="give all three from 1 on; leave `retraining` out to be asked never",
            )
        if self.min_auc is not None and not 0 < self.min_auc < 1:
            raise ConfigurationError(
                f"min_auc {self.min_auc:g} is no AUC", where="Retraining", fix="give it between 0 and 1, or None"
            )
