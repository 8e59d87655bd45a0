"""Requirements for a promotion. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nightjar.declaration.declared import Bounds, Count, Declaration, NotNegative, check_choice, check_unique, refuse
from nightjar.declaration.quality import QualityMetric

Policy = Literal["never", "always"]


@dataclass(frozen=True, kw_only=True)
class Gate(Declaration):
    """Requirements for a promotion.

    A version must also beat the baselines of the problem type and the champion, if there is one, on the same holdout.
    The metrics are those of the problem type, e.g. :attr:`nightjar.declaration.problem.Binary.metrics`.

    Attributes:
        floors: Name of a metric of which more is better, to its minimum on the holdout.
        ceilings: Name of a metric of which less is better, to its maximum on the holdout.
        decisive_metric: Metric that compares the challenger with champion and baselines, and that training watches on
            the validation days; None for the problem type's first.
        min_improvement: The challenger must beat the champion by more than this; a tie does not promote.
        min_holdout_rows: Minimum number of labelled rows in the holdout.
        beats: Policies that must cost more than the challenger's decisions on the holdout: ``never`` to alarm, or
            ``always``. Only for ``Binary`` with costs.
        approval: Whether a person must approve a passed version in Airflow's UI before it becomes champion.
    """

    floors: Mapping[str, float] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    decisive_metric: str | None = None
    min_improvement: NotNegative = 0.0
    min_holdout_rows: Count = 1000
    beats: tuple[Policy, ...] = ()
    approval: bool = False

    def decisive(self, metrics: Mapping[str, QualityMetric]) -> QualityMetric:
        """Return the metric that compares models, one of the problem type's ``metrics``."""
        return metrics[self.decisive_metric or next(iter(metrics))]

    def check_metrics(self, metrics: Mapping[str, QualityMetric], *, where: str) -> None:
        """Check metric names, and that each bound is reachable and in the right field.

        Args:
            metrics: Metrics of the problem type.
            where: The use case's gate.

        Raises:
            ConfigurationError: listing the metrics, or naming the right field or the possible values.
        """
        check_unique(self.beats, kind="policy", where=f"{where}.beats")
        for field_name, bounds in (("floors", self.floors), ("ceilings", self.ceilings)):
            for name, bound in bounds.items():
                check_bound(name, bound, metrics, is_floor=field_name == "floors", where=f"{where}.{field_name}")
        if self.decisive_metric is None:
            return
        check_choice(self.decisive_metric, metrics, kind="metric", where=f"{where}.decisive_metric")
        high = metrics[self.decisive_metric].high
        if self.min_improvement >= high:
            refuse(
                f"min_improvement is {self.min_improvement:g}, and {self.decisive_metric} lies within 0 and {high:g}",
                where=f"{where}.min_improvement",
                fix=f"give at least 0 and below {high:g}",
            )


def check_bound(name: str, bound: float, metrics: Mapping[str, QualityMetric], *, is_floor: bool, where: str) -> None:
    """Check that a metric is known, and that its bound is of the right kind and can be reached.

    Raises:
        ConfigurationError: listing the metrics, or naming the right field or the possible values.
    """
    check_choice(name, metrics, kind="metric", where=where)
    metric = metrics[name]
    if is_floor == metric.lower_is_better:
        given, right = ("floor", "ceiling") if is_floor else ("ceiling", "floor")
        refuse(f"{name} has a {given}, and {metric.better} is better", where=where, fix=f"give it a {right}")
    if not 0 <= bound <= metric.high:
        refuse(f"{name} {bound:g} cannot be reached", where=where, fix=f"give {Bounds(0, metric.high)}")
