"""The monitored metric of a problem type: when it is worse than a reference, and how that is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nightjar.declaration.monitoring import Retraining
from nightjar.declaration.problem import Problem
from nightjar.declaration.quality import QualityMetric
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.metric_words import MetricWords

CLEAR_SHARE = 0.03
"""Margin by which the interval over nights of a share (AUC, accuracy) must lie below the holdout's value; the holdout
has only a week."""
CLEAR_LOSS = 0.1
"""The same margin of an error, as share of the holdout's value."""
_MIN_DISTANCE = 1e-9  # from the best value to a reference that can hardly be missed


@dataclass(frozen=True, kw_only=True)
class Monitored:
    """The metric of the nights that is compared with the holdout and with the declared bound.

    Attributes:
        metric: The metric, with its direction.
        words: Its words.
    """

    metric: QualityMetric
    words: MetricWords

    @classmethod
    def of(cls, problem: Problem, words: Mapping[str, MetricWords]) -> Monitored:
        """Return the monitored metric of a declared problem; ``words`` has all its metrics."""
        return cls(metric=problem.metrics[problem.monitored], words=words[problem.monitored])

    @property
    def name(self) -> str:
        """Name of the metric in the tables."""
        return self.metric.name

    @property
    def worse_side(self) -> str:
        """Side of a reference on which values are worse."""
        return "above" if self.metric.lower_is_better else "below"

    @property
    def better_side(self) -> str:
        """Side of a reference on which values are better."""
        return "below" if self.metric.lower_is_better else "above"

    @property
    def bound_name(self) -> str:
        """Name of the declared bound: ``floor`` or ``ceiling``."""
        return "ceiling" if self.metric.lower_is_better else "floor"

    def bound(self, policy: Retraining | None) -> float | None:
        """Return the bound that a policy declares; None for none."""
        if policy is None:
            return None
        return policy.ceiling if self.metric.lower_is_better else policy.floor

    def is_worse(self, value: float, reference: float) -> bool:
        """Whether a value is worse than a reference."""
        return self.metric.worse_by(value, reference) > 0

    def is_all_worse(self, interval: Interval, reference: float) -> bool:
        """Whether a whole interval is worse than a reference."""
        return self.is_worse(interval.low if self.metric.lower_is_better else interval.high, reference)

    def is_all_better(self, interval: Interval, reference: float) -> bool:
        """Whether a whole interval is better than a reference."""
        return self.metric.worse_by(interval.high if self.metric.lower_is_better else interval.low, reference) < 0

    def are_apart(self, interval: Interval, reference: Interval) -> bool:
        """Whether a whole interval is worse than the whole interval of a reference."""
        return self.is_all_worse(interval, reference.high if self.metric.lower_is_better else reference.low)

    def worst(self, references: list[float]) -> float:
        """Return the reference that is missed first."""
        return min(references) if self.metric.lower_is_better else max(references)

    def margin(self, holdout: float) -> float:
        """Return the distance from the holdout's value beyond which several nights are clearly worse."""
        return CLEAR_LOSS * holdout if self.metric.lower_is_better else CLEAR_SHARE

    def is_clearly_worse(self, interval: Interval, holdout: float) -> bool:
        """Whether a whole interval is worse than the holdout's value by more than the margin."""
        margin = self.margin(holdout)
        return self.is_all_worse(interval, holdout + margin if self.metric.lower_is_better else holdout - margin)

    def severity(self, value: float, reference: float, margin: float = 0.0) -> float:
        """Return the distance of a value from the best value, as a multiple of the reference's plus the margin."""
        if self.metric.lower_is_better:
            return value / max(reference + margin, _MIN_DISTANCE)
        return (1 - value) / max(1 - reference + margin, _MIN_DISTANCE)
