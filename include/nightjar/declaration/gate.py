"""Requirements for a promotion. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.declaration.declared import Bounds, Count, Declaration, NotNegative, check_choice, refuse
from nightjar.declaration.quality import QUALITY_METRICS


@dataclass(frozen=True, kw_only=True)
class Gate(Declaration):
    """Requirements for a promotion.

    A version must also beat the baseline (logistic regression) and the champion, if there is one, on the same holdout.

    Attributes:
        floors: Metric name (``auc``, ``pr_auc``) to its minimum on the holdout.
        ceilings: Metric name (``log_loss``, ``brier``, ``calibration_error`` and, with a declared cost,
            ``expected_cost``) to its maximum on the holdout.
        decisive_metric: Metric that compares challenger and champion. For ``auc`` and ``pr_auc`` higher is better, for
            the metrics of ``ceilings`` lower.
        min_improvement: The challenger must beat the champion by more than this; a tie does not promote.
        min_holdout_rows: Minimum number of labelled rows in the holdout.
        approval: Whether a person must approve a passed version in Airflow's UI before it becomes champion.
    """

    floors: Mapping[str, float]
    ceilings: Mapping[str, float] = field(default_factory=dict)
    decisive_metric: str = "auc"
    min_improvement: NotNegative = 0.0
    min_holdout_rows: Count = 1000
    approval: bool = False

    def check(self) -> None:
        """Check metric names, and that each bound is reachable and in the right field."""
        for field_name, bounds in (("floors", self.floors), ("ceilings", self.ceilings)):
            for name, bound in bounds.items():
                self._check_bound(name, bound, field_name)
        check_choice(self.decisive_metric, QUALITY_METRICS, kind="metric", where="Gate.decisive_metric")
        high = QUALITY_METRICS[self.decisive_metric].high
        if self.min_improvement >= high:
            refuse(
                f"min_improvement is {self.min_improvement:g}, and {self.decisive_metric} lies within 0 and {high:g}",
                where="Gate.min_improvement",
                fix=f"give at least 0 and below {high:g}",
            )

    @staticmethod
    def _check_bound(name: str, bound: float, field_name: str) -> None:
        where = f"Gate.{field_name}[{name!r}]"
        check_choice(name, QUALITY_METRICS, kind="metric", where=where)
        metric = QUALITY_METRICS[name]
        own_field = "ceilings" if metric.lower_is_better else "floors"
        if field_name != own_field:
            better = "less" if metric.lower_is_better else "more"
            refuse(
                f"{field_name} names {name}, for which {better} is better", where=where, fix=f"give it in {own_field}"
            )
        if not 0 <= bound <= metric.high:
            refuse(f"{name} {bound:g} cannot be reached", where=where, fix=f"give {Bounds(0, metric.high)}")
