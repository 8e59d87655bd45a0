"""Words and sentences about predictions of one of several classes. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nightjar.declaration.problem import Multiclass
from nightjar.monitoring.performance import sentences
from nightjar.monitoring.performance.metric_words import MetricWords
from nightjar.monitoring.reporting.formatting import share

if TYPE_CHECKING:
    from nightjar.monitoring.performance.rows import PerformanceRow


def of_metrics(declared: Multiclass) -> dict[str, MetricWords]:
    """Return the words of each metric."""
    cost_unit = declared.cost.unit if declared.cost else ""
    words = {
        "accuracy": MetricWords(name="Accuracy", phrase="accuracy", meaning="share of right predictions"),
        "log_loss": MetricWords(name="Log loss", phrase="log loss", meaning="nats per row; lower is better"),
        "macro_f1": MetricWords(
            name="Macro F1", phrase="macro F1", meaning="mean over the classes of recall and precision in one number"
        ),
        "expected_cost": MetricWords(
            name="Cost per row",
            phrase=f"cost per row in {cost_unit}",
            meaning="cost of decisions per decided row; lower is better",
            form="number",
            unit=cost_unit,
        ),
    }
    for name in declared.classes:
        words[f"recall_{name}"] = MetricWords(
            name=f"Recall of {name}",
            phrase=f"recall of {name}",
            meaning=f"share of {name} that is predicted as {name}",
            form="share",
            is_key=False,
        )
        words[f"precision_{name}"] = MetricWords(
            name=f"Precision of {name}",
            phrase=f"precision of {name}",
            meaning=f"share of predictions {name} that are right",
            form="share",
            is_key=False,
        )
        words[f"share_{name}"] = MetricWords(
            name=f"Share of {name}",
            phrase=f"share of {name}",
            meaning="among the labels: observed, and expected from the scores",
            form="share",
            is_key=False,
            is_level=True,
        )
    return words


def changes(
    figures: Mapping[str, PerformanceRow], words: Mapping[str, MetricWords], classes: Sequence[str]
) -> list[str]:
    """Describe the classes' shares, baseline and estimates."""
    return [
        _shares(figures, classes),
        sentences.against_baseline(figures, words, ("log_loss", "expected_cost")),
        sentences.estimate_error(figures, words, ("accuracy", "log_loss", "expected_cost")),
    ]


def _shares(rows: Mapping[str, PerformanceRow], classes: Sequence[str]) -> str:
    """Describe the class whose share differs most from the expected one."""
    off = []
    for name in classes:
        row = rows.get(f"share_{name}")
        if row is None or row.interval is None or row.estimated is None:
            return ""
        if not row.estimated.low <= row.interval.value <= row.estimated.high:
            off.append((abs(row.interval.value - row.estimated.value), name, row.interval.value, row.estimated.value))
    if not off:
        return "The share of each class is as expected from the scores."
    _, name, observed, expected = max(off)
    more = "more" if observed > expected else "less"
    return f"{share(observed)} of the labels are {name}, {more} than the {share(expected)} expected from the scores."


def describe_slice(
    figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow], classes: Sequence[str]
) -> str:
    """Describe the first class of an unexpected share, after the shift of all rows."""
    for name in classes:
        row, whole = rows.get(f"share_{name}"), figures.get(f"share_{name}")
        shift = (whole.estimate_error or 0.0) if whole else 0.0
        if row is None or row.interval is None or row.estimated is None:
            continue
        observed, expected = row.interval, row.estimated
        if observed.low > expected.high + shift or observed.high < expected.low + shift:
            return f"{row.slice_value}: {share(observed.value)} {name}, {share(expected.value)} expected."
    return ""
