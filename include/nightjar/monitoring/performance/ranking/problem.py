"""Rankings, as monitoring of performance sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nightjar.declaration.ranking import CATALOGUE_METRICS, Ranking
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
from nightjar.monitoring.performance.ranking import words
from nightjar.monitoring.performance.ranking.metrics import measure
from nightjar.monitoring.performance.ranking.summary import Summary, merge, summarize_groups

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nightjar.declaration.quality import QualityMetric
    from nightjar.monitoring.performance.rows import PerformanceRow

_WHOLE = 2**53
"""Doubles hold whole numbers up to it."""
NO_ESTIMATE = "how good an order is cannot be estimated from its scores alone"


@dataclass(frozen=True)
class RankingPerformance:
    """See :class:`nightjar.monitoring.performance.problem.PerformanceProblem`. Predictions are places in groups."""

    declared: Ranking

    @cached_property
    def words(self) -> Mapping[str, MetricWords]:
        """All metrics."""
        return words.of_metrics(self.declared)

    @property
    def monitored(self) -> Monitored:
        """The nDCG of the first items."""
        return Monitored.of(self.declared, self.words)

    @property
    def compared(self) -> Mapping[str, QualityMetric]:
        """Nothing: no constant prediction is an order."""
        return {}

    @property
    def label(self) -> str:
        """The relevance."""
        return "CAST(label AS DOUBLE)"

    @property
    def label_group(self) -> str:
        """Whether the item is relevant."""
        return "CAST(label > 0 AS DOUBLE)"

    @property
    def score_columns(self) -> Mapping[str, str]:
        """The rank, and numbers for the group of the item in its night, and for the item on all nights."""
        return {
            "rank": "CAST(rank AS DOUBLE)",
            "item_group": _number(("ds", *self.declared.group)),
            "item": _number(self.declared.item),
        }

    def baseline(self, groups: Sequence[LabelGroup]) -> Baseline:
        """Return the share of relevant items."""
        relevant = sum(group.rows for group in groups if group.group)
        return {"relevant_share": relevant / sum(group.rows for group in groups)}

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
        """Measure every metric."""
        return measure(summary, confidence=confidence, declared=self.declared, baseline=baseline)

    @property
    def without_ratio(self) -> tuple[str, ...]:
        """All: their intervals are over groups."""
        return tuple(self.words)

    def ratios(self, summary: Summary, baseline: Baseline | None) -> dict[str, Ratio]:
        """Return nothing: the intervals of a ranking are over its groups, and no unit can be declared."""
        return {}

    def reduce(self, summary: Summary) -> Summary:
        """Return the summary."""
        return summary

    def estimate(self, summary: Summary, *, confidence: float) -> dict[str, Interval]:
        """Estimate nothing."""
        return {}

    @property
    def no_estimate(self) -> str:
        """Scores have no unit."""
        return NO_ESTIMATE

    def stored_baseline(self, rows: Mapping[str, PerformanceRow]) -> Baseline | None:
        """Return the share of relevant items known on the night."""
        row = rows.get("relevant_share")
        return None if row is None or row.baseline is None else {"relevant_share": row.baseline}

    def holdout_metrics(self, metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
        """Return the metrics on the holdout, but for those that grow with its number of nights."""
        names = [name for name in self.words if name not in {metric.name for metric in CATALOGUE_METRICS}]
        figures = with_prefix(metrics, prefix, names)
        relevant, rows = (metrics.get(f"{prefix}{name}") for name in ("relevant", "rows"))
        return {**figures, "relevant_share": relevant / rows} if relevant is not None and rows else figures

    def accuracy_of_counts(self, summary: Summary) -> dict[str, float]:
        """All metrics are exact."""
        return {}

    @property
    def template(self) -> str:
        """How to read the figures."""
        return "performance_ranking.html.j2"

    @property
    def gauge_caption(self) -> str:
        """Caption of the gauge of the nDCG."""
        return f"nDCG of the first {self.declared.k} items, up to 1, the best order"

    @property
    def chance(self) -> str:
        """There is none: no constant prediction is an order."""
        return "the baseline"

    @property
    def history_metrics(self) -> tuple[str, ...]:
        """Quality of the order, recall, coverage and level of the labels."""
        return ("ndcg", "recall", "catalogue_coverage", "relevant_share")

    @property
    def level_columns(self) -> tuple[SliceColumn, ...]:
        """Share of relevant items."""
        return (SliceColumn(metric="relevant_share", header="Relevant items"),)

    @property
    def quality_columns(self) -> tuple[SliceColumn, ...]:
        """Metrics of the first items."""
        headers = {"ndcg": "nDCG", "map": "Average precision", "recall": "Recall"}
        return slice_columns(headers)

    @property
    def nothing_stands_out(self) -> str:
        """No value has a low nDCG."""
        return "No value is clearly below all rows."

    def detail(self, summary: Summary, confidence: float) -> None:
        """Return nothing: pages of rankings have no part of their own."""

    def describe_slice(self, figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow]) -> str:
        """Describe nothing besides the monitored metric."""
        return ""

    def changes(self, figures: Mapping[str, PerformanceRow]) -> list[str]:
        """Describe relevant items, and how many of them came first."""
        return words.changes(figures, self.declared)


def _number(columns: Sequence[str]) -> str:
    """Return the SQL expression of a number for the values of columns."""
    return f"CAST(pmod(xxhash64({', '.join(columns)}), {_WHOLE}) AS DOUBLE)"
