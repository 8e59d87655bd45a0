"""Sentences that problem types share. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightjar.monitoring.reporting.formatting import share

if TYPE_CHECKING:
    from nightjar.monitoring.performance.report_data import PerformanceReport


def against_baseline(report: PerformanceReport, metrics: Sequence[str]) -> str:
    """Compare metrics with the baseline."""
    parts = []
    for metric in metrics:
        row = report.figures.get(metric)
        if row and row.value is not None and row.baseline:
            words = report.problem.words[metric]
            less = 1 - row.value / row.baseline
            excess = row.excess_interval
            unsure = excess is not None and excess.low <= 0 <= excess.high
            side = "below" if less >= 0 else "above"
            doubt = ", which may be chance" if unsure else ""
            parts.append(
                f"{words.name.lower()} {words.figure(row.value, with_unit=True)} is {share(abs(less))} {side} "
                f"the baseline\u2019s {words.figure(row.baseline, with_unit=True)}{doubt}"
            )
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def estimate_error(report: PerformanceReport, metrics: Sequence[str]) -> str:
    """Compare estimates with what the labels show."""
    parts = []
    for metric in metrics:
        row = report.figures.get(metric)
        if row and row.estimate_error is not None:
            words = report.problem.words[metric]
            side = "too high" if row.estimate_error < 0 else "too low"
            off = words.figure(abs(row.estimate_error), with_unit=True)
            parts.append(f"{words.name} {words.figure(row.estimate, with_unit=True)} ({off} {side})")
    return f"Estimated before the labels landed: {', '.join(parts)}." if parts else ""
