"""How good predictions are: each metric of the gate, which way is better, and which values it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, kw_only=True)
class QualityMetric:
    """A metric of predictions against labels.

    Attributes:
        name: As in the figures of ``evaluate``, behind ``holdout_``.
        lower_is_better: Whether less is better.
        high: Greatest value that it can take; the least is 0.
        needs_cost: Whether it is measured only where the use case declares a cost.
    """

    name: str
    lower_is_better: bool
    high: float = 1.0
    needs_cost: bool = False


QUALITY_METRICS: Mapping[str, QualityMetric] = {
    metric.name: metric
    for metric in (
        QualityMetric(name="auc", lower_is_better=False),
        QualityMetric(name="pr_auc", lower_is_better=False),
        QualityMetric(name="log_loss", lower_is_better=True, high=inf),
        QualityMetric(name="brier", lower_is_better=True),
        QualityMetric(name="calibration_error", lower_is_better=True),
        QualityMetric(name="expected_cost", lower_is_better=True, high=inf, needs_cost=True),
        QualityMetric(name="recall", lower_is_better=False, needs_cost=True),
        QualityMetric(name="precision", lower_is_better=False, needs_cost=True),
    )
}
"""Metric to what is known of it, in the order in which they are shown."""
