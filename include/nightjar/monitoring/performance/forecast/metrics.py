"""Metrics of labelled forecasts: losses relative to the size of the labels, with intervals and against a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from nightjar.declaration.forecast import Forecast
from nightjar.monitoring.performance import intervals
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.problem import NO_LABELS, Measured, Ratio
from nightjar.monitoring.performance.regression.summary import Summary

METRICS = ("wape", "wql", "signed_bias", "coverage", "expected_cost", "label_mean")
"""All metrics in display order."""
LOSS_OF: Mapping[str, tuple[str, str, float]] = {"wape": ("mae", "absolute", 1.0), "wql": ("pinball", "pinball", 2.0)}
"""Metric to the metric of a regression that it is relative to the labels, its loss, and its factor."""
ONLY_ZEROS = "all labels are 0, and errors are measured relative to the labels"


def metrics_of(declared: Forecast) -> tuple[str, ...]:
    """Return the metrics of a problem: those of quantiles and of costs only if they are declared."""
    left_out = {"coverage"} if len(declared.quantiles) == 1 else set()
    return tuple(m for m in METRICS if m not in left_out and (m != "expected_cost" or declared.cost))


def measure(
    summary: Summary, of_numbers: Mapping[str, Measured], *, confidence: float, declared: Forecast
) -> dict[str, Measured]:
    """Measure every metric of :func:`metrics_of`.

    Args:
        summary: The rows.
        of_numbers: The metrics of the same rows as a regression.
        confidence: Level of the intervals.
        declared: The problem.
    """
    wanted = metrics_of(declared)
    if not summary.labelled:
        return dict.fromkeys(wanted, Measured(reason=NO_LABELS))
    if not summary.sum("size"):
        relative = dict.fromkeys((*LOSS_OF, "signed_bias"), Measured(reason=ONLY_ZEROS))
        return {metric: relative.get(metric) or of_numbers[metric] for metric in wanted}
    mean_size = summary.sum("size") / summary.labelled
    measured = {
        **{
            metric: _relative(summary, of_numbers[name], loss, factor, confidence)
            for metric, (name, loss, factor) in LOSS_OF.items()
        },
        "signed_bias": _scaled(of_numbers["bias"], 1 / mean_size),
    }
    return {metric: measured.get(metric) or of_numbers[metric] for metric in wanted}


def ratios(summary: Summary, of_numbers: Mapping[str, Ratio], declared: Forecast) -> dict[str, Ratio]:
    """Return the metrics of :func:`metrics_of`, relative to the size of the labels where these are."""
    size = summary.sum("size")
    relative = {
        **{
            metric: Ratio(
                total=factor * of_numbers[name].total,
                size=size,
                excess=None if (less := of_numbers[name].excess) is None else factor * less,
            )
            for metric, (name, _, factor) in LOSS_OF.items()
            if name in of_numbers
        },
        **({"signed_bias": replace(of_numbers["bias"], size=size)} if "bias" in of_numbers else {}),
    }
    known = {**of_numbers, **(relative if size else {})}
    return {metric: known[metric] for metric in metrics_of(declared) if metric in known}


def _relative(summary: Summary, mean: Measured, loss: str, factor: float, confidence: float) -> Measured:
    """Return a mean loss relative to the mean size of the labels.

    Its interval is that of a ratio of means by the delta method; the difference from the baseline is relative to the
    same labels.
    """
    rows, size = summary.labelled, summary.sum("size")
    scaled = _scaled(mean, factor * rows / size)
    value = summary.sum(loss) / size
    squares = (
        summary.sum(f"{loss}_squares")
        - 2 * value * summary.sum(f"size_{loss}")
        + value**2 * summary.sum("label_squares")
    )  # of the rows' loss minus value times size, whose sum is 0
    half = (
        intervals.quantile(confidence) * math.sqrt(max(squares, 0.0) * rows / (rows - 1)) / size
        if rows > 1
        else math.inf
    )
    found = Interval(value=factor * value, low=factor * max(value - half, 0.0), high=factor * (value + half))
    return Measured(interval=found, baseline=scaled.baseline, excess=scaled.excess)


def _scaled(measured: Measured, factor: float) -> Measured:
    """Return a metric in another unit."""

    def times(interval: Interval | None) -> Interval | None:
        if interval is None:
            return None
        return Interval(value=interval.value * factor, low=interval.low * factor, high=interval.high * factor)

    return Measured(
        interval=times(measured.interval),
        baseline=None if measured.baseline is None else measured.baseline * factor,
        excess=times(measured.excess),
        reason=measured.reason,
    )
