"""Check the alarms of a simulated year against later labels: confirmed or false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nightjar.declaration.use_case import UseCase
from nightjar.monitoring.performance.intervals import delong
from nightjar.problems.binary.metrics import auc_counts

if TYPE_CHECKING:
    import pandas as pd

FAR = 0.05
"""A mean prediction that is off the share of positives by more than this is wrong."""
NIGHTS_OF_PERFORMANCE = 7
"""Number of judged nights that an alarm of performance covers."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Quality of scores, by later labels.

    Attributes:
        auc: Over all rows, with its 95 % interval ``low`` to ``high``.
        holdout: AUC of the scoring versions on their holdouts, weighted by rows.
        predicted: Mean prediction.
        positives: Share of positives.
    """

    auc: float
    low: float
    high: float
    holdout: float
    predicted: float
    positives: float

    @property
    def is_worse(self) -> bool:
        """Whether the AUC is below the holdout's with its whole interval, or the mean prediction is :data:`FAR` off."""
        return self.high < self.holdout or abs(self.predicted - self.positives) > FAR

    def __str__(self) -> str:
        return (
            f"AUC {self.auc:.3f} ({self.low:.3f} to {self.high:.3f}; holdout {self.holdout:.3f}), "
            f"predicted {self.predicted:.0%}, were {self.positives:.0%}"
        )


def truth(rows: pd.DataFrame, nights: Sequence[date], trainings: Sequence[Mapping[str, Any]]) -> Truth | None:
    """Judge the scores of ``nights`` by labels; None without labels of both classes.

    Args:
        rows: Scores with labels, ``prediction``, ``label``, ``ds`` and ``model_version``.
        nights: Nights to judge.
        trainings: Promoted trainings, with ``version`` and ``metrics``.
    """
    chosen = rows[rows["ds"].isin(nights)]
    labels, predictions = (chosen[name].to_numpy(float) for name in ("label", "prediction"))
    negatives, positives = auc_counts(labels, predictions)
    if not negatives.sum() or not positives.sum():
        return None
    interval = delong(negatives, positives, 0.95)
    holdouts = {
        training["version"]: training["metrics"]["holdout_auc"] for training in trainings if training["promoted"]
    }
    return Truth(
        auc=interval.value,
        low=interval.low,
        high=interval.high,
        holdout=float(chosen["model_version"].map(holdouts).mean()),
        predicted=float(predictions.mean()),
        positives=float(labels.mean()),
    )


def covered_nights(kind: str, found_on: Sequence[date], use_case: UseCase) -> list[date]:
    """Return the nights whose scores an incident covers.

    Args:
        kind: Kind of the incident.
        found_on: Nights with the finding.
        use_case: The use case, with the delay of labels.
    """
    if kind != "performance":
        return list(found_on)
    last = max(found_on) - timedelta(days=use_case.matured_after_nights)
    return [last - timedelta(days=i) for i in range(NIGHTS_OF_PERFORMANCE)]
