"""Words and sentences about the performance of forecasts. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightjar.declaration.forecast import Forecast
from nightjar.monitoring.performance import sentences
from nightjar.monitoring.performance.metric_words import MetricWords
from nightjar.monitoring.performance.regression.words import describe_coverage, describe_level
from nightjar.monitoring.reporting.formatting import share

if TYPE_CHECKING:
    from nightjar.monitoring.performance.rows import PerformanceRow

OWN: Mapping[str, MetricWords] = {
    "wape": MetricWords(
        name="Absolute error",
        phrase="absolute error",
        meaning="absolute errors relative to the labels (WAPE); lower is better",
        form="share",
    ),
    "wql": MetricWords(
        name="Quantile loss",
        phrase="weighted quantile loss",
        meaning="loss of the quantiles relative to the labels (WQL); lower is better",
        form="share",
    ),
    "signed_bias": MetricWords(
        name="Bias",
        phrase="bias",
        meaning="predictions minus labels, relative to the labels; above 0 predicts too much",
        form="share",
    ),
}
"""Words of the metrics that a regression does not have."""


def changes(figures: Mapping[str, PerformanceRow], words: Mapping[str, MetricWords], declared: Forecast) -> list[str]:
    """Describe labels, baseline, bias and coverage."""
    return [
        describe_level(figures, declared.unit),
        sentences.against_baseline(figures, words, ("wape", "expected_cost")),
        _describe_bias(figures),
        describe_coverage(figures, declared.quantiles[-1] - declared.quantiles[0]),
    ]


def _describe_bias(figures: Mapping[str, PerformanceRow]) -> str:
    row = figures.get("signed_bias")
    bias = row.interval if row else None
    if bias is None:
        return ""
    if bias.low <= 0 <= bias.high:
        return "Forecasts are neither too high nor too low on average, beyond chance."
    return f"Forecasts are {share(abs(bias.value))} too {'high' if bias.value > 0 else 'low'} on average."


def describe_slice(figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow]) -> str:
    """Describe a value of a slice whose bias is another one than that of all rows."""
    whole, row = figures.get("signed_bias"), rows.get("signed_bias")
    bias, of_all = row.interval if row else None, whole.interval if whole else None
    if row is None or bias is None or of_all is None or (bias.low <= of_all.high and bias.high >= of_all.low):
        return ""
    return f"{row.slice_value}: forecasts are {share(abs(bias.value))} too {'high' if bias.value > 0 else 'low'}."
