"""What labels say afterwards of a simulated year's alarms: borne out or false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nightjar.declaration.use_case import UseCase
from nightjar.evaluation.metrics import auc_counts
from nightjar.monitoring.performance.intervals import delong

if TYPE_CHECKING:
    import pandas as pd

FAR = 0.05
"""A mean prediction that is off the share of positives by more than this is wrong."""
NIGHTS_OF_PERFORMANCE = 7
"""An alarm of performance speaks of so many judged nights."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """How good scores were, by the labels that came later.

    Attributes:
        auc: Over all rows, with its 95 % interval ``low`` to ``high``.
        holdout: The AUC of the versions that spoke on their own holdouts, by rows.
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
    """The truth of the scores of ``nights``; None where they have no labels of both kinds.

    Args:
        rows: Scores with labels, ``prediction``, ``label``, ``ds`` and ``model_version``.
        nights: Which.
        trainings: All that were promoted, with ``version`` and ``metrics``.
    """
    of = rows[rows["ds"].isin(nights)]
    labels, predictions = (of[name].to_numpy(float) for name in ("label", "prediction"))
    negatives, positives = auc_counts(labels, predictions)
    if not negatives.sum() or not positives.sum():
        return None
    found = delong(negatives, positives, 0.95)
    holdouts = {one["version"]: one["metrics"]["holdout_auc"] for one in trainings if one["promoted"]}
    return Truth(
        auc=found.value,
        low=found.low,
        high=found.high,
        holdout=float(of["model_version"].map(holdouts).mean()),
        predicted=float(predictions.mean()),
        positives=float(labels.mean()),
    )


def nights_meant(kind: str, found_on: Sequence[date], use_case: UseCase) -> list[date]:
    """The nights whose scores an incident speaks of.

    Args:
        kind: Of the incident.
        found_on: The nights on which it was found.
        use_case: Says how late labels come.
    """
    if kind != "performance":
        return list(found_on)
    last = max(found_on) - timedelta(days=use_case.performance.matured_after_nights)
    return [last - timedelta(days=i) for i in range(NIGHTS_OF_PERFORMANCE)]
