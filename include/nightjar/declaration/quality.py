"""Quality metrics: direction and range of each. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, kw_only=True)
class QualityMetric:
    """A metric of predictions against labels.

    Attributes:
        name: Name in the metrics of ``evaluate``, without the prefix ``holdout_``.
        lower_is_better: Whether lower values are better.
        high: Highest possible value; the lowest is 0.
    """

    name: str
    lower_is_better: bool
    high: float = 1.0

    def worse_by(self, value: float, reference: float) -> float:
        """Return by how much ``value`` is worse than ``reference``; negative when it is better."""
        return value - reference if self.lower_is_better else reference - value

    def best(self, values: Iterable[float]) -> float:
        """Return the best of some values."""
        return min(values) if self.lower_is_better else max(values)

    @property
    def better(self) -> str:
        """Direction in words: ``less`` or ``more`` is better."""
        return "less" if self.lower_is_better else "more"


def losses(*names: str, high: float = inf) -> tuple[QualityMetric, ...]:
    """Return metrics of which less is better."""
    return tuple(QualityMetric(name=name, lower_is_better=True, high=high) for name in names)


def shares(*names: str) -> tuple[QualityMetric, ...]:
    """Return metrics between 0 and 1 of which more is better."""
    return tuple(QualityMetric(name=name, lower_is_better=False) for name in names)


def by_name(metrics: Iterable[QualityMetric]) -> Mapping[str, QualityMetric]:
    """Index metrics by name, in order."""
    return {metric.name: metric for metric in metrics}
