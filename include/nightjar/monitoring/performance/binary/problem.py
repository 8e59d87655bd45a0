"""Yes/no questions, as monitoring of performance sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.problem import Binary
from nightjar.monitoring.performance.binary import words
from nightjar.monitoring.performance.binary.calibration import Group, group_rows
from nightjar.monitoring.performance.binary.estimate import estimate
from nightjar.monitoring.performance.binary.metrics import measure, metrics_of, ratios, tie_error
from nightjar.monitoring.performance.binary.summary import (
    POSITIVE,
    UNLABELLED,
    Rows,
    Summary,
    merge,
    probability_of,
    reduce,
    summarize_groups,
)
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.metric_words import MetricWords
from nightjar.monitoring.performance.monitored import Monitored
from nightjar.monitoring.performance.problem import Baseline, LabelGroup, Measured, Ratio, ScoredRows, SliceColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightjar.declaration.quality import QualityMetric
    from nightjar.monitoring.performance.rows import PerformanceRow

RATE = "rate"
"""Name of the baseline's prediction: the share of positives."""
HISTOGRAM_BARS = 50


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Calibration of the labelled rows.

    Attributes:
        groups: Groups of rows with similar predictions.
        histogram: Labelled rows and positives in 50 bins of the prediction.
    """

    groups: Sequence[Group]
    histogram: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class BinaryPerformance:
    """See :class:`nightjar.monitoring.performance.problem.PerformanceProblem`. Predictions are probabilities."""

    declared: Binary

    @cached_property
    def words(self) -> Mapping[str, MetricWords]:
        """The metrics of the declaration."""
        cost = self.declared.cost
        every = words.of_metrics(cost.unit if cost else "")
        return {metric: every[metric] for metric in metrics_of(self.declared)}

    @property
    def monitored(self) -> Monitored:
        """The AUC."""
        return Monitored.of(self.declared, self.words)

    @property
    def compared(self) -> Mapping[str, QualityMetric]:
        """Means of rows. Their level depends on the night's label rate, so they are not compared with the holdout."""
        return {
            name: self.declared.metrics[name] for name in ("log_loss", "brier", "expected_cost") if name in self.words
        }

    @property
    def label(self) -> str:
        """0 or 1."""
        return "CAST(label AS DOUBLE)"

    @property
    def label_group(self) -> str:
        """The label."""
        return self.label

    @property
    def score_columns(self) -> Mapping[str, str]:
        """Prediction and decision."""
        decision = "decision" if self.declared.has_decisions else "NULL"
        return {"prediction": "prediction", "decision": f"CAST({decision} AS DOUBLE)"}

    def baseline(self, groups: Sequence[LabelGroup]) -> Baseline:
        """Return the share of positives."""
        positives = sum(group.rows for group in groups if group.group == 1)
        return {RATE: positives / sum(group.rows for group in groups)}

    def summarize(self, rows: ScoredRows, groups: NDArray[np.int64]) -> Mapping[int, Summary]:
        """Summarize each group of rows."""
        binary = Rows(
            predictions=rows.columns["prediction"],
            labels=rows.labels,
            landed=rows.landed,
            decisions=rows.columns["decision"],
        )
        return summarize_groups(binary, groups)

    def merge(self, summaries: Sequence[Summary]) -> Summary:
        """Merge summaries."""
        return merge(summaries)

    def read_summary(self, text: str) -> Summary:
        """Read a summary from JSON."""
        return Summary.from_json(text)

    def measure(self, summary: Summary, *, confidence: float, baseline: Baseline | None) -> dict[str, Measured]:
        """Measure every metric."""
        rate = baseline[RATE] if baseline else None
        return measure(summary, confidence=confidence, declared=self.declared, baseline_rate=rate)

    @property
    def without_ratio(self) -> tuple[str, ...]:
        """Metrics of the order of predictions, and of groups of these."""
        return ("auc", "pr_auc", "calibration_error")

    def ratios(self, summary: Summary, baseline: Baseline | None) -> dict[str, Ratio]:
        """Means of rows, shares and costs; not those of the order of predictions, nor the calibration error."""
        return ratios(summary, self.declared, baseline[RATE] if baseline else None)

    def reduce(self, summary: Summary) -> Summary:
        """Put all rows into one bin."""
        return reduce(summary)

    def estimate(self, summary: Summary, *, confidence: float) -> dict[str, Interval]:
        """Estimate metrics for calibrated scores."""
        return estimate(summary, confidence=confidence, cost=self.declared.cost)

    @property
    def no_estimate(self) -> str:
        """Calibrated scores give estimates."""
        return ""

    def stored_baseline(self, rows: Mapping[str, PerformanceRow]) -> Baseline | None:
        """Return the label rate known on the night."""
        row = rows.get("label_rate")
        return None if row is None or row.baseline is None else {RATE: row.baseline}

    def holdout_metrics(self, metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
        """Return the metrics on the holdout, and its label rate."""
        measured = [metric for metric in metrics_of(self.declared) if prefix + metric in metrics]
        figures = {metric: metrics[prefix + metric] for metric in measured}
        if metrics.get(f"{prefix}rows"):
            figures["label_rate"] = metrics[f"{prefix}positives"] / metrics[f"{prefix}rows"]
        return figures

    def accuracy_of_counts(self, summary: Summary) -> dict[str, float]:
        """Return the maximum effect of binning on the AUC."""
        return {"auc_tie_error": tie_error(summary)}

    @property
    def template(self) -> str:
        """Calibration, and how to read the figures."""
        return "performance_binary.html.j2"

    @property
    def gauge_caption(self) -> str:
        """Caption of the AUC's gauge."""
        return "AUC from chance to perfect"

    @property
    def chance(self) -> str:
        """An AUC of 0.5."""
        return "chance"

    @property
    def history_metrics(self) -> tuple[str, ...]:
        """AUC, cost and label rate."""
        return ("auc", "expected_cost", "label_rate")

    @property
    def level_columns(self) -> tuple[SliceColumn, ...]:
        """Observed and expected label rate."""
        return (
            SliceColumn(metric="label_rate", header="Positive"),
            SliceColumn(metric="label_rate", header="expected", estimated=True),
        )

    @property
    def quality_columns(self) -> tuple[SliceColumn, ...]:
        """Metrics of the probabilities."""
        headers = {"auc": "AUC", "log_loss": "Log loss", "brier": "Brier", "calibration_error": "Calibration error"}
        return tuple(SliceColumn(metric=metric, header=header) for metric, header in headers.items())

    @property
    def nothing_stands_out(self) -> str:
        """No value has a low AUC or an unexpected label rate."""
        return "No value is clearly below all rows or differs from the expected share."

    def detail(self, summary: Summary, confidence: float) -> Calibration:
        """Return the calibration."""
        return Calibration(groups=group_rows(summary, confidence), histogram=histogram(summary))

    def describe_slice(self, figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow]) -> str:
        """Describe an unexpected label rate."""
        return words.describe_slice(figures, rows)

    def changes(self, figures: Mapping[str, PerformanceRow]) -> list[str]:
        """Describe label rate, baseline, calibration and estimates."""
        return words.changes(figures, self.words)


def histogram(summary: Summary) -> list[tuple[int, int]]:
    """Count labelled rows and positives in 50 equal bins of the prediction."""
    place = np.minimum((probability_of(summary.bins) * HISTOGRAM_BARS).astype(int), HISTOGRAM_BARS - 1)
    rows = summary.counts[:UNLABELLED].sum(axis=0)
    counted = (np.bincount(place, values, minlength=HISTOGRAM_BARS) for values in (rows, summary.counts[POSITIVE]))
    return [(int(n), int(k)) for n, k in zip(*counted, strict=True)]
