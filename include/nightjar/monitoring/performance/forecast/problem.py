"""Forecasts, as monitoring of performance sees them: numbers whose errors are measured relative to the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.problem import regression_of
from nightjar.monitoring.performance.forecast import words
from nightjar.monitoring.performance.forecast.metrics import LOSS_OF, measure, metrics_of, ratios
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
from nightjar.monitoring.performance.regression import words as regression_words
from nightjar.monitoring.performance.regression.deciles import Group
from nightjar.monitoring.performance.regression.problem import RegressionPerformance
from nightjar.monitoring.performance.regression.summary import Summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nightjar.declaration.quality import QualityMetric
    from nightjar.monitoring.performance.rows import PerformanceRow

NO_ESTIMATE = "errors of a forecast cannot be estimated from its predictions alone"


@dataclass(frozen=True)
class ForecastPerformance:
    """See :class:`nightjar.monitoring.performance.problem.PerformanceProblem`.

    Rows are counted like those of a regression with the same quantiles.
    """

    declared: Forecast

    @cached_property
    def numbers(self) -> RegressionPerformance:
        """The regression with the same quantiles and costs."""
        return RegressionPerformance(regression_of(self.declared))

    @cached_property
    def words(self) -> Mapping[str, MetricWords]:
        """All metrics; those of costs only if they are declared."""
        every = {**regression_words.of_metrics(self.numbers.declared), **words.OWN}
        return {metric: every[metric] for metric in metrics_of(self.declared)}

    @property
    def monitored(self) -> Monitored:
        """The absolute error relative to the labels."""
        return Monitored.of(self.declared, self.words)

    @property
    def compared(self) -> Mapping[str, QualityMetric]:
        """Losses of rows."""
        names = (*LOSS_OF, "expected_cost")
        return {name: self.declared.metrics[name] for name in names if name in self.words}

    @property
    def label(self) -> str:
        """A number."""
        return self.numbers.label

    @property
    def label_group(self) -> str:
        """Similar labels, as for a regression."""
        return self.numbers.label_group

    @property
    def score_columns(self) -> Mapping[str, str]:
        """Prediction, quantiles and decision."""
        return self.numbers.score_columns

    def baseline(self, groups: Sequence[LabelGroup]) -> Baseline:
        """Return mean, median and quantiles of all series' labels."""
        return self.numbers.baseline(groups)

    def summarize(self, rows: ScoredRows, groups: NDArray[np.int64]) -> Mapping[int, Summary]:
        """Summarize each group of rows."""
        return self.numbers.summarize(rows, groups)

    def merge(self, summaries: Sequence[Summary]) -> Summary:
        """Merge summaries."""
        return self.numbers.merge(summaries)

    def read_summary(self, text: str) -> Summary:
        """Read a summary from JSON."""
        return self.numbers.read_summary(text)

    def measure(self, summary: Summary, *, confidence: float, baseline: Baseline | None) -> dict[str, Measured]:
        """Measure every metric; the summary holds the baseline's losses."""
        of_numbers = self.numbers.measure(summary, confidence=confidence, baseline=baseline)
        return measure(summary, of_numbers, confidence=confidence, declared=self.declared)

    @property
    def without_ratio(self) -> tuple[str, ...]:
        """None."""
        return ()

    def ratios(self, summary: Summary, baseline: Baseline | None) -> dict[str, Ratio]:
        """Return every metric; the summary holds the baseline's losses."""
        return ratios(summary, self.numbers.ratios(summary, baseline), self.declared)

    def reduce(self, summary: Summary) -> Summary:
        """Leave out the bins of predictions."""
        return self.numbers.reduce(summary)

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
        return "performance_forecast.html.j2"

    @property
    def gauge_caption(self) -> str:
        """Caption of the gauge of the absolute error."""
        return "Absolute error relative to the labels; lower is better"

    @property
    def chance(self) -> str:
        """The median of all series' earlier labels."""
        return "the baseline"

    @property
    def history_metrics(self) -> tuple[str, ...]:
        """Error, cost if declared, bias and level of the labels."""
        return tuple(name for name in ("wape", "expected_cost", "signed_bias", "label_mean") if name in self.words)

    @property
    def level_columns(self) -> tuple[SliceColumn, ...]:
        """Mean label."""
        return self.numbers.level_columns

    @property
    def quality_columns(self) -> tuple[SliceColumn, ...]:
        """Errors, bias and coverage."""
        headers = {
            "wape": "Absolute error",
            "wql": "Quantile loss",
            "signed_bias": "Bias",
            "coverage": "Coverage",
        }
        return slice_columns({metric: header for metric, header in headers.items() if metric in self.words})

    @property
    def nothing_stands_out(self) -> str:
        """No value has a high error or another bias."""
        return self.numbers.nothing_stands_out

    def detail(self, summary: Summary, confidence: float) -> Sequence[Group]:
        """Return groups of rows with similar predictions."""
        return self.numbers.detail(summary, confidence)

    def describe_slice(self, figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow]) -> str:
        """Describe an unusual bias."""
        return words.describe_slice(figures, rows)

    def changes(self, figures: Mapping[str, PerformanceRow]) -> list[str]:
        """Describe labels, baseline, bias and coverage."""
        return words.changes(figures, self.words, self.declared)
