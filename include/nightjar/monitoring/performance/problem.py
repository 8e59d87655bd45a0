"""What monitoring of performance needs to know of a problem type; :mod:`.registry` finds it.

Scores and labels are counted as numbers: a class is its position among the declared classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from nightjar.monitoring.performance.intervals import Interval

if TYPE_CHECKING:
    from decimal import Decimal

    import numpy as np
    from numpy.typing import NDArray

    from nightjar.declaration.quality import QualityMetric
    from nightjar.monitoring.performance.metric_words import MetricWords
    from nightjar.monitoring.performance.monitored import Monitored
    from nightjar.monitoring.performance.rows import PerformanceRow

Baseline = Mapping[str, float]
"""The constant prediction of the baseline, by names of the problem type: made from the labels known on a night."""

NO_LABELS = "no row has a label"
NO_DECISION = "no row has a decision"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric of labelled rows.

    Attributes:
        interval: Value with confidence interval; None when it cannot be measured.
        baseline: Value of the constant baseline prediction; None without earlier labels.
        excess: Value minus baseline with the interval of the difference, over rows if the metric is a mean of rows;
            None without a baseline and for metrics that are not compared.
        reason: Why there is no value; empty otherwise.
    """

    interval: Interval | None = None
    baseline: float | None = None
    excess: Interval | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelGroup:
    """Labels of one group of :attr:`PerformanceProblem.label_group`.

    Attributes:
        group: The group.
        rows: Number of labels.
        total: Sum of the labels.
    """

    group: float
    rows: int
    total: Decimal


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Scored rows, as arrays of one length; NaN for null.

    Attributes:
        columns: Columns of :attr:`PerformanceProblem.score_columns`.
        labels: Labels.
        landed: Whether the row's outcome has landed.
        baseline: The baseline's prediction for the row's night, by its names.
    """

    columns: Mapping[str, NDArray[np.float64]]
    labels: NDArray[np.float64]
    landed: NDArray[np.bool_]
    baseline: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A metric as a ratio of sums over rows.

    Attributes:
        total: Numerator.
        size: Denominator.
        excess: Numerator minus that of the baseline on the same rows; None without a baseline.
        low: Smallest possible ratio.
        high: Largest possible ratio.
        is_root: Whether the metric is the root of the ratio.
    """

    total: float
    size: float
    excess: float | None = None
    low: float = 0.0
    high: float = math.inf
    is_root: bool = False

    def shown(self, ratio: float) -> float:
        """Return the metric of a ratio."""
        return math.sqrt(max(ratio, 0.0)) if self.is_root else ratio


class Summary(Protocol):
    """Rows of a night, a slice or a week: small, exact, and additive in any order."""

    @property
    def rows(self) -> int:
        """Scored rows."""

    @property
    def landed(self) -> int:
        """Rows whose outcome has landed, with or without a label."""

    @property
    def labelled(self) -> int:
        """Rows with a label."""

    def to_json(self) -> str:
        """Return compact JSON."""


@dataclass(frozen=True, kw_only=True)
class SliceColumn:
    """A column of a slice's table.

    Attributes:
        metric: The metric.
        header: Header of the column.
        estimated: Whether it shows the estimate instead of the value.
    """

    metric: str
    header: str
    estimated: bool = False


def slice_columns(headers: Mapping[str, str]) -> tuple[SliceColumn, ...]:
    """Return the columns of metrics with these headers."""
    return tuple(SliceColumn(metric=metric, header=header) for metric, header in headers.items())


def with_prefix(metrics: Mapping[str, float], prefix: str, names: Iterable[str]) -> dict[str, float]:
    """Return the metrics ``names`` from those whose names begin with ``prefix``; missing ones are left out."""
    return {name: metrics[prefix + name] for name in names if prefix + name in metrics}


class PerformanceProblem(Protocol):
    """Counting, measuring and describing the scores of a problem type. A ``summary`` is one of its own summaries."""

    @property
    def words(self) -> Mapping[str, MetricWords]:
        """All metrics in display order, in words; the cost only if costs are declared."""

    @property
    def monitored(self) -> Monitored:
        """The metric that is compared with the holdout and with the declared bound."""

    @property
    def compared(self) -> Mapping[str, QualityMetric]:
        """Metrics that findings compare with the baseline on the same rows, whatever the night's labels."""

    # Counting

    @property
    def label(self) -> str:
        """SQL expression of the label as a double."""

    @property
    def label_group(self) -> str:
        """SQL expression of the group of a label, as a double: labels of one group are counted together."""

    @property
    def score_columns(self) -> Mapping[str, str]:
        """Name to the SQL expression of a double, from a row of the score table."""

    def baseline(self, groups: Sequence[LabelGroup]) -> Baseline:
        """Return the constant prediction that these labels suggest; there is at least one."""

    def summarize(self, rows: ScoredRows, groups: NDArray[np.int64]) -> Mapping[int, Summary]:
        """Summarize each group of rows; a group is a whole number of at least 0."""

    def merge(self, summaries: Sequence[Any]) -> Summary:
        """Merge summaries; exact in any order. Without summaries the result is empty."""

    def read_summary(self, text: str) -> Summary:
        """Invert :meth:`Summary.to_json`."""

    # Measuring

    def measure(self, summary: Any, *, confidence: float, baseline: Baseline | None) -> dict[str, Measured]:
        """Measure every metric of :attr:`words`."""

    @property
    def without_ratio(self) -> tuple[str, ...]:
        """Metrics of :attr:`words` that are not ratios of sums over rows."""

    def ratios(self, summary: Any, baseline: Baseline | None) -> dict[str, Ratio]:
        """Return the metrics that are ratios of sums over rows; those without a denominator are left out."""

    def reduce(self, summary: Any) -> Summary:
        """Return the summary without what :meth:`ratios` does not need."""

    def estimate(self, summary: Any, *, confidence: float) -> dict[str, Interval]:
        """Estimate metrics of all scored rows from the scores alone."""

    @property
    def no_estimate(self) -> str:
        """Why nothing is estimated; empty when something is."""

    def stored_baseline(self, rows: Mapping[str, PerformanceRow]) -> Baseline | None:
        """Return the baseline's prediction from a night's rows by metric; None when it is not known."""

    def holdout_metrics(self, metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
        """Return the metrics of a model on its holdout, from those of the gate's event that have this prefix."""

    def accuracy_of_counts(self, summary: Any) -> dict[str, float]:
        """Return how exact metrics from counts are, for the result of the program."""

    # Pages

    @property
    def template(self) -> str:
        """Template with the macros ``detail`` and ``how`` of the pages."""

    @property
    def gauge_caption(self) -> str:
        """Caption of the gauge of the monitored metric."""

    @property
    def chance(self) -> str:
        """Name of the baseline of the monitored metric."""

    @property
    def history_metrics(self) -> tuple[str, ...]:
        """Metrics that are plotted over nights."""

    @property
    def level_columns(self) -> tuple[SliceColumn, ...]:
        """Columns of a slice's table about its labels."""

    @property
    def quality_columns(self) -> tuple[SliceColumn, ...]:
        """Columns of a slice's table about its predictions, without the cost."""

    @property
    def nothing_stands_out(self) -> str:
        """Sentence for a slice without sentences."""

    def detail(self, summary: Any, confidence: float) -> Any:
        """Return what the macro ``detail`` shows of the rows of the page."""

    def describe_slice(self, figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow]) -> str:
        """Describe a value of a slice whose monitored metric does not stand out; empty for nothing to say.

        Args:
            figures: Rows of all scores, by metric.
            rows: Rows of the value, by metric.
        """

    def changes(self, figures: Mapping[str, PerformanceRow]) -> list[str]:
        """Describe differences of ``figures``, rows by metric, from expectation, baseline and estimates.

        An empty sentence is left out.
        """
