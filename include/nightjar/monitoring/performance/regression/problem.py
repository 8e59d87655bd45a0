"""Regressions, as monitoring of performance sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from nightjar.declaration.problem import Regression
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.metric_words import MetricWords
from nightjar.monitoring.performance.monitored import Monitored
from nightjar.monitoring.performance.problem import (
    Baseline,
    LabelGroup,
    Measured,
    Ratio,
    ScoredRows,
    SliceColumn,
    slice_columns,
    with_prefix,
)
from nightjar.monitoring.performance.regression import words
from nightjar.monitoring.performance.regression.deciles import Group, group_rows
from nightjar.monitoring.performance.regression.metrics import LOSS_OF, measure, metrics_of, ratios
from nightjar.monitoring.performance.regression.summary import (
    DECISION,
    MEAN,
    MEDIAN,
    Summary,
    merge,
    summarize_groups,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nightjar.declaration.quality import QualityMetric
    from nightjar.monitoring.performance.rows import PerformanceRow

NO_ESTIMATE = "errors of a regression cannot be estimated from its predictions alone"


@dataclass(frozen=True)
class RegressionPerformance:
    """See :class:`nightjar.monitoring.performance.problem.PerformanceProblem`. Predictions are numbers."""

    declared: Regression

    @cached_property
    def words(self) -> Mapping[str, MetricWords]:
        """All metrics; those of quantiles and costs only if they are declared."""
        every = words.of_metrics(self.declared)
        return {metric: every[metric] for metric in metrics_of(self.declared)}

    @property
    def monitored(self) -> Monitored:
        """The mean absolute error."""
        return Monitored.of(self.declared, self.words)

    @property
    def compared(self) -> Mapping[str, QualityMetric]:
        """Means of rows, and the root of one."""
        return {name: self.declared.metrics[name] for name in LOSS_OF if name in self.words}

    @property
    def label(self) -> str:
        """A number."""
        return "CAST(label AS DOUBLE)"

    @property
    def label_group(self) -> str:
        """Labels within 1.1 % of each other: 64 groups for each power of 2, ascending with the label."""
        return "SIGN(label) * IF(label = 0, 0, FLOOR(64 * LOG2(ABS(label))) + 100000)"

    @property
    def score_columns(self) -> Mapping[str, str]:
        """Prediction, quantiles and decision."""
        decision = "decision" if self.declared.cost else "NULL"
        return {
            **{name: name for name in ("prediction", *self.declared.quantile_columns)},
            "decision": f"CAST({decision} AS DOUBLE)",
        }

    def baseline(self, groups: Sequence[LabelGroup]) -> Baseline:
        """Return mean, median and quantiles; a quantile is the mean of its group of similar labels."""
        by_group: dict[float, tuple[int, Fraction]] = {}
        for group in groups:
            rows, total = by_group.get(group.group, (0, Fraction(0)))
            by_group[group.group] = (rows + group.rows, total + Fraction(group.total))
        ascending = [by_group[group] for group in sorted(by_group)]
        rows = sum(rows for rows, _ in ascending)
        total = sum((total for _, total in ascending), Fraction(0))
        return {
            MEAN: float(total / rows),
            **{name: _quantile(ascending, rows * probability) for name, probability in self._quantiles()},
        }

    def _quantiles(self) -> Iterator[tuple[str, float]]:
        """Yield name and probability of each quantile of the baseline."""
        yield MEDIAN, 0.5
        yield from zip(self.declared.quantile_columns, self.declared.quantiles, strict=True)
        if self.declared.cost:
            yield DECISION, self.declared.cost.quantile

    def summarize(self, rows: ScoredRows, groups: NDArray[np.int64]) -> Mapping[int, Summary]:
        """Summarize each group of rows."""
        return summarize_groups(rows, groups, self.declared)

    def merge(self, summaries: Sequence[Summary]) -> Summary:
        """Merge summaries."""
        return merge(summaries)

    def read_summary(self, text: str) -> Summary:
        """Read a summary from JSON."""
        return Summary.from_json(text)

    def measure(self, summary: Summary, *, confidence: float, baseline: Baseline | None) -> dict[str, Measured]:
        """Measure every metric; the summary holds the baseline's losses."""
        return measure(summary, confidence=confidence, declared=self.declared)

    @property
    def without_ratio(self) -> tuple[str, ...]:
        """None."""
        return ()

    def ratios(self, summary: Summary, baseline: Baseline | None) -> dict[str, Ratio]:
        """Return every metric; the summary holds the baseline's losses."""
        return ratios(summary, self.declared)

    def reduce(self, summary: Summary) -> Summary:
        """Leave out the bins of predictions."""
        return Summary(sums=summary.sums)

    def estimate(self, summary: Summary, *, confidence: float) -> dict[str, Interval]:
        """Estimate nothing."""
        return {}

    @property
    def no_estimate(self) -> str:
        """A prediction does not tell its error."""
        return NO_ESTIMATE

    def stored_baseline(self, rows: Mapping[str, PerformanceRow]) -> Baseline | None:
        """Return nothing: summaries hold the baseline's losses."""
        return None

    def holdout_metrics(self, metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
        """Return the metrics on the holdout."""
        return with_prefix(metrics, prefix, self.words)

    def accuracy_of_counts(self, summary: Summary) -> dict[str, float]:
        """All metrics are exact."""
        return {}

    @property
    def template(self) -> str:
        """Predicted and observed means, and how to read the figures."""
        return "performance_regression.html.j2"

    @property
    def gauge_caption(self) -> str:
        """Caption of the gauge of the mean absolute error."""
        return f"Mean absolute error in {self.declared.unit}; lower is better"

    @property
    def chance(self) -> str:
        """The median of earlier labels."""
        return "the baseline"

    @property
    def history_metrics(self) -> tuple[str, ...]:
        """Error, cost if declared, bias and level of the labels."""
        return tuple(name for name in ("mae", "expected_cost", "bias", "label_mean") if name in self.words)

    @property
    def level_columns(self) -> tuple[SliceColumn, ...]:
        """Mean label."""
        return (SliceColumn(metric="label_mean", header=f"Mean label, {self.declared.unit}"),)

    @property
    def quality_columns(self) -> tuple[SliceColumn, ...]:
        """Errors and coverage."""
        headers = {
            "mae": "Absolute error",
            "rmse": "Root mean squared error",
            "bias": "Bias",
            "pinball": "Pinball loss",
            "coverage": "Coverage",
        }
        return slice_columns({metric: header for metric, header in headers.items() if metric in self.words})

    @property
    def nothing_stands_out(self) -> str:
        """No value has a high error or another bias."""
        return "No value is clearly above all rows or has another bias."

    def detail(self, summary: Summary, confidence: float) -> Sequence[Group]:
        """Return groups of rows with similar predictions."""
        return group_rows(summary, confidence)

    def describe_slice(self, figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow]) -> str:
        """Describe an unusual bias."""
        return words.describe_slice(figures, rows, self.declared.unit)

    def changes(self, figures: Mapping[str, PerformanceRow]) -> list[str]:
        """Describe labels, baseline, bias and coverage."""
        return words.changes(figures, self.words, self.declared)


def _quantile(ascending: Sequence[tuple[int, Fraction]], rank: float) -> float:
    """Return the mean of the group in which the rank lies."""
    below = 0
    for rows, total in ascending:
        below += rows
        if below >= rank:
            return float(total / rows)
    rows, total = ascending[-1]
    return float(total / rows)
