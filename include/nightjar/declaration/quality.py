"""Quality metrics of the gate: direction and range of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, kw_only=True)
class QualityMetric:
    """A metric of predictions against labels.

    Attributes:
        name: Name in the metrics of ``evaluate``, without the prefix ``holdout_``.
        lower_is_better: Whether lower values are better.
        high: Highest possible value; the lowest is 0.
        needs_cost: Whether it needs a declared cost.
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
"""Metric name to its properties, in display order."""
