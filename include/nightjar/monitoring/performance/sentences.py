"""Sentences that problem types share. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nightjar.monitoring.reporting.formatting import share

if TYPE_CHECKING:
    from nightjar.monitoring.performance.metric_words import MetricWords
    from nightjar.monitoring.performance.rows import PerformanceRow


def against_baseline(
    figures: Mapping[str, PerformanceRow], words: Mapping[str, MetricWords], metrics: Sequence[str]
) -> str:
    """Compare metrics with the baseline.

    Args:
        figures: Rows by metric.
        words: Each metric in words.
        metrics: Metrics to compare.
    """
    parts = []
    for metric in metrics:
        row = figures.get(metric)
        if row and row.value is not None and row.baseline:
            of_metric = words[metric]
            less = 1 - row.value / row.baseline
            excess = row.excess_interval
            unsure = excess is not None and excess.low <= 0 <= excess.high
            side = "below" if less >= 0 else "above"
            doubt = ", which may be chance" if unsure else ""
            parts.append(
                f"{of_metric.name.lower()} {of_metric.figure(row.value, with_unit=True)} is {share(abs(less))} {side} "
                f"the baseline\u2019s {of_metric.figure(row.baseline, with_unit=True)}{doubt}"
            )
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def estimate_error(
    figures: Mapping[str, PerformanceRow], words: Mapping[str, MetricWords], metrics: Sequence[str]
) -> str:
    """Compare estimates with what the labels show; arguments as for :func:`against_baseline`."""
    parts = []
    for metric in metrics:
        row = figures.get(metric)
        if row and row.estimate_error is not None:
            side = "too high" if row.estimate_error < 0 else "too low"
            off = words[metric].figure(abs(row.estimate_error), with_unit=True)
            parts.append(f"{words[metric].name} {words[metric].figure(row.estimate, with_unit=True)} ({off} {side})")
    return f"Estimated before the labels landed: {', '.join(parts)}." if parts else ""
