"""Words and sentences about the performance of regressions. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nightjar.declaration.problem import Regression
from nightjar.monitoring.performance import sentences
from nightjar.monitoring.performance.metric_words import MetricWords
from nightjar.monitoring.reporting.formatting import count, number, share

if TYPE_CHECKING:
    from nightjar.monitoring.performance.regression.deciles import Group
    from nightjar.monitoring.performance.rows import PerformanceRow


def of_metrics(declared: Regression) -> dict[str, MetricWords]:
    """Return the words of each metric."""
    unit, cost_unit = declared.unit, declared.cost.unit if declared.cost else ""
    outermost = [f"{100 * quantile:g}\u202f%" for quantile in (*declared.quantiles[:1], *declared.quantiles[-1:])]

    def in_unit(name: str, meaning: str, *, is_level: bool = False) -> MetricWords:
        phrase = f"{name[0].lower()}{name[1:]} in {unit}"
        return MetricWords(name=name, phrase=phrase, meaning=meaning, form="number", unit=unit, is_level=is_level)

    return {
        "mae": in_unit("Mean absolute error", "mean distance of prediction and label; lower is better"),
        "rmse": in_unit("Root mean squared error", "large errors count more; lower is better"),
        "bias": in_unit("Bias", "mean of prediction minus label; above 0 predicts too much"),
        "pinball": in_unit("Pinball loss", "mean loss of the quantiles; lower is better"),
        "coverage": MetricWords(
            name="Coverage",
            phrase="coverage",
            meaning=f"share of labels between the quantiles {' and '.join(outermost)}; "
            f"{share(nominal_coverage(declared))} is right",
            form="share",
        ),
        "expected_cost": MetricWords(
            name="Cost per row",
            phrase=f"cost per row in {cost_unit}",
            meaning="cost of decisions that are too low or too high, per decided row; lower is better",
            form="number",
            unit=cost_unit,
        ),
        "label_mean": in_unit("Mean label", "observed", is_level=True),
    }


def nominal_coverage(declared: Regression) -> float:
    """Return the share of labels that should lie between the outermost quantiles."""
    return declared.quantiles[-1] - declared.quantiles[0] if declared.quantiles else 0.0


def changes(figures: Mapping[str, PerformanceRow], words: Mapping[str, MetricWords], declared: Regression) -> list[str]:
    """Describe labels, baseline, bias and coverage."""
    return [
        describe_level(figures, declared.unit),
        sentences.against_baseline(figures, words, ("mae", "expected_cost")),
        _bias(figures, declared.unit),
        describe_coverage(figures, nominal_coverage(declared)),
    ]


def describe_level(rows: Mapping[str, PerformanceRow], unit: str) -> str:
    """Describe the mean label, and what it was earlier."""
    row = rows.get("label_mean")
    if row is None or row.value is None:
        return ""
    observed = f"The mean label is {number(row.value)}\u202f{unit}"
    return f"{observed}." if row.baseline is None else f"{observed}; it was {number(row.baseline)}\u202f{unit} earlier."


def _bias(rows: Mapping[str, PerformanceRow], unit: str) -> str:
    row = rows.get("bias")
    bias = row.interval if row else None
    if bias is None:
        return ""
    if bias.low <= 0 <= bias.high:
        return "Predictions are neither too high nor too low on average, beyond chance."
    side = "high" if bias.value > 0 else "low"
    low, high = sorted((abs(bias.low), abs(bias.high)))
    limits = f"{number(low)} to {number(high)}"
    return f"Predictions are {number(abs(bias.value))}\u202f{unit} too {side} on average ({limits})."


def describe_coverage(rows: Mapping[str, PerformanceRow], nominal: float) -> str:
    """Describe how many labels lie between the outermost quantiles, and how many should."""
    row = rows.get("coverage")
    coverage = row.interval if row else None
    if coverage is None:
        return ""
    observed = f"{share(coverage.value)} of the labels lie between the outermost quantiles"
    if coverage.low <= nominal <= coverage.high:
        return f"{observed}, in line with the {share(nominal)} that should."
    return f"{observed}, {'fewer' if coverage.value < nominal else 'more'} than the {share(nominal)} that should."


def describe_slice(figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow], unit: str) -> str:
    """Describe a value of a slice whose bias is another one than that of all rows."""
    whole, row = figures.get("bias"), rows.get("bias")
    bias, of_all = row.interval if row else None, whole.interval if whole else None
    if row is None or bias is None or of_all is None:
        return ""
    if bias.low <= of_all.high and bias.high >= of_all.low:
        return ""
    side = "high" if bias.value > 0 else "low"
    return f"{row.slice_value}: predictions are {number(abs(bias.value))}\u202f{unit} too {side} on average."


def describe_groups(groups: Sequence[Group], unit: str) -> list[str]:
    """Describe the groups whose mean label differs most from the mean prediction."""
    off = [group for group in groups if not group.agrees]
    agree = len(groups) - len(off)
    described = [
        f"In {agree} of {len(groups)} groups of similar predictions the mean label agrees with the predicted one."
    ]
    for group in sorted(off, key=lambda group: -abs(group.predicted - group.observed.value))[:2]:
        described.append(
            f"Where {number(group.predicted)}\u202f{unit} was predicted, "
            f"{number(group.observed.value)}\u202f{unit} was observed ({count(group.rows)} rows)."
        )
    return described
