"""Predictions of one of several classes, as monitoring of performance sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nightjar.declaration.problem import Multiclass
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.metric_words import MetricWords
from nightjar.monitoring.performance.monitored import Monitored
from nightjar.monitoring.performance.multiclass import words
from nightjar.monitoring.performance.multiclass.metrics import estimate, measure, metrics_of, ratios
from nightjar.monitoring.performance.multiclass.summary import Summary, merge, summarize_groups
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
from nightjar.problems.multiclass.metrics import cost_matrix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nightjar.declaration.quality import QualityMetric
    from nightjar.monitoring.performance.rows import PerformanceRow


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Labelled rows by true and predicted class.

    Attributes:
        classes: The classes.
        counts: Rows of each true class (lines), by predicted class.
    """

    classes: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class MulticlassPerformance:
    """See :class:`nightjar.monitoring.performance.problem.PerformanceProblem`. Predictions are classes."""

    declared: Multiclass

    @cached_property
    def words(self) -> Mapping[str, MetricWords]:
        """All metrics; the cost only if costs are declared."""
        every = words.of_metrics(self.declared)
        return {metric: every[metric] for metric in metrics_of(self.declared)}

    @property
    def monitored(self) -> Monitored:
        """The accuracy."""
        return Monitored.of(self.declared, self.words)

    @property
    def compared(self) -> Mapping[str, QualityMetric]:
        """Means of rows."""
        return {
            name: self.declared.metrics[name]
            for name in ("accuracy", "log_loss", "expected_cost")
            if name in self.words
        }

    @property
    def label(self) -> str:
        """Position of the class; null for a class that is not declared."""
        return self._position("label")

    @property
    def label_group(self) -> str:
        """The class."""
        return self.label

    @property
    def score_columns(self) -> Mapping[str, str]:
        """Predicted class, probabilities and decided class."""
        return {
            "prediction": self._position("prediction"),
            **{name: name for name in self.declared.probability_columns},
            "decision": self._position("decision") if self.declared.cost else "CAST(NULL AS DOUBLE)",
        }

    def _position(self, column: str) -> str:
        names = ", ".join(f"'{name}'" for name in self.declared.classes)
        return f"CAST(NULLIF(ARRAY_POSITION(ARRAY({names}), {column}), 0) - 1 AS DOUBLE)"

    def baseline(self, groups: Sequence[LabelGroup]) -> Baseline:
        """Return the share of each class."""
        rows = sum(group.rows for group in groups)
        return {
            name: sum(group.rows for group in groups if group.group == position) / rows
            for position, name in enumerate(self.declared.classes)
        }

    def summarize(self, rows: ScoredRows, groups: NDArray[np.int64]) -> Mapping[int, Summary]:
        """Summarize each group of rows."""
        return summarize_groups(rows, groups, self.declared, cost_matrix(self.declared))

    def merge(self, summaries: Sequence[Summary]) -> Summary:
        """Merge summaries."""
        return merge(summaries, len(self.declared.classes))

    def read_summary(self, text: str) -> Summary:
        """Read a summary from JSON."""
        return Summary.from_json(text)

    def measure(self, summary: Summary, *, confidence: float, baseline: Baseline | None) -> dict[str, Measured]:
        """Measure every metric."""
        return measure(summary, confidence=confidence, declared=self.declared, baseline=baseline)

    @property
    def without_ratio(self) -> tuple[str, ...]:
        """The F1 score."""
        return ("macro_f1",)

    def ratios(self, summary: Summary, baseline: Baseline | None) -> dict[str, Ratio]:
        """Return every metric except the F1 score."""
        return ratios(summary, self.declared, baseline)

    def reduce(self, summary: Summary) -> Summary:
        """Return the summary: all of it is needed."""
        return summary

    def estimate(self, summary: Summary, *, confidence: float) -> dict[str, Interval]:
        """Estimate metrics for calibrated probabilities."""
        return estimate(summary, confidence=confidence, declared=self.declared)

    @property
    def no_estimate(self) -> str:
        """Calibrated probabilities give estimates."""
        return ""

    def stored_baseline(self, rows: Mapping[str, PerformanceRow]) -> Baseline | None:
        """Return the shares of the classes known on the night."""
        known = {name: rows[f"share_{name}"].baseline for name in self.declared.classes if f"share_{name}" in rows}
        shares = {name: share for name, share in known.items() if share is not None}
        return shares if len(shares) == len(self.declared.classes) else None

    def holdout_metrics(self, metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
        """Return the metrics on the holdout; with recall, precision and share of each class."""
        figures = with_prefix(metrics, prefix, self.words)
        if rows := metrics.get(f"{prefix}rows"):
            groups = zip(self.declared.classes, self.declared.label_groups, strict=True)
            counted = {name: metrics[f"{prefix}{group}"] for name, group in groups if f"{prefix}{group}" in metrics}
            figures |= {f"share_{name}": count / rows for name, count in counted.items()}
        return figures

    def accuracy_of_counts(self, summary: Summary) -> dict[str, float]:
        """All metrics are exact."""
        return {}

    @property
    def template(self) -> str:
        """Confusion of the classes, and how to read the figures."""
        return "performance_multiclass.html.j2"

    @property
    def gauge_caption(self) -> str:
        """Caption of the gauge of the accuracy."""
        return "Accuracy up to 1, all predictions right"

    @property
    def chance(self) -> str:
        """The most frequent class of earlier labels."""
        return "the baseline"

    @property
    def history_metrics(self) -> tuple[str, ...]:
        """Accuracy, log loss and cost if declared."""
        return tuple(name for name in ("accuracy", "log_loss", "expected_cost") if name in self.words)

    @property
    def level_columns(self) -> tuple[SliceColumn, ...]:
        """None: a share for each class would be too wide."""
        return ()

    @property
    def quality_columns(self) -> tuple[SliceColumn, ...]:
        """Metrics over all classes."""
        headers = {"accuracy": "Accuracy", "log_loss": "Log loss", "macro_f1": "Macro F1"}
        return slice_columns(headers)

    @property
    def nothing_stands_out(self) -> str:
        """No value has a low accuracy or an unexpected share of a class."""
        return "No value is clearly below all rows or differs from the expected shares."

    def detail(self, summary: Summary, confidence: float) -> Confusion:
        """Return the confusion of the classes."""
        return Confusion(classes=self.declared.classes, counts=summary.confusion.tolist())

    def describe_slice(self, figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow]) -> str:
        """Describe an unexpected share of a class."""
        return words.describe_slice(figures, rows, self.declared.classes)

    def changes(self, figures: Mapping[str, PerformanceRow]) -> list[str]:
        """Describe shares, baseline and estimates."""
        return words.changes(figures, self.words, self.declared.classes)
