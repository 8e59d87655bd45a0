"""How a use case is watched: drift, performance against late labels, and when a training is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Drift:
    """When a column counts as drifted: its effect (PSI) *and* its test must both say so.

    Attributes:
        max_psi: Population stability index above which the effect is large.
        max_q: False discovery rate (Benjamini-Hochberg over the columns) below which the test is significant.
        max_drifted_share: The night's verdict is ``drift`` when a larger share of the watched columns drifted.
    """

    max_psi: float = 0.25
    max_q: float = 0.01
    max_drifted_share: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Performance:
    """When a night is judged against the truth, and where.

    Attributes:
        matured_after_nights: A night is judged so many nights later, when its labels have been ingested.
        min_label_share: It is judged only when at least this share of its scores has a label by then.
        slices: Columns of the feature table by whose values it is judged apart as well.
        min_slice_rows: A slice of fewer labelled rows is not judged.
        confidence: Of the intervals.
    """

    matured_after_nights: int = 3
    min_label_share: float = 0.9
    slices: tuple[str, ...] = ()
    min_slice_rows: int = 100
    confidence: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """When monitoring asks for a training (an event of the asset ``retrain/<use_case>``).

    Any of three reasons will do; broken data never is one.

    Attributes:
        breaches: Asked for when so many ...
        of_nights: ... of the last so many nights have drifted or fallen below a floor of performance.
        min_auc: A judged night is in breach when its AUC lies below this with its whole confidence interval; None for
            no floor.
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
