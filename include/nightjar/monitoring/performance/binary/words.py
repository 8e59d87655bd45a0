"""Words and sentences about the performance of yes/no questions. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nightjar.monitoring.performance import sentences
from nightjar.monitoring.performance.metric_words import MetricWords
from nightjar.monitoring.reporting.formatting import count, share

if TYPE_CHECKING:
    from nightjar.monitoring.performance.binary.calibration import Group
    from nightjar.monitoring.performance.intervals import Interval
    from nightjar.monitoring.performance.rows import PerformanceRow


def of_metrics(cost_unit: str) -> dict[str, MetricWords]:
    """Return the words of each metric."""
    return {
        "auc": MetricWords(
            name="AUC",
            phrase="AUC",
            meaning="share of (positive, negative) pairs in the right order; 0.5 is chance",
            shows_baseline=False,
        ),
        "pr_auc": MetricWords(
            name="PR-AUC",
            phrase="PR-AUC",
            meaning="mean precision over all thresholds; chance is the share of positives",
        ),
        "log_loss": MetricWords(name="Log loss", phrase="log loss", meaning="nats per row; lower is better"),
        "brier": MetricWords(
            name="Brier score",
            phrase="Brier score",
            meaning="mean squared error of the probabilities; lower is better",
        ),
        "calibration_error": MetricWords(
            name="Calibration error",
            phrase="calibration error",
            meaning="mean distance of predicted from observed shares, corrected for chance; lower is better",
            form="share",
        ),
        "expected_cost": MetricWords(
            name="Cost per row",
            phrase="cost per row",
            meaning="cost of wrong decisions per decided row; lower is better",
            form="number",
            unit=cost_unit,
        ),
        "precision": MetricWords(
            name="Precision", phrase="precision", meaning="share of the alarms that were right", form="share"
        ),
        "recall": MetricWords(
            name="Recall", phrase="recall", meaning="share of the positives that were alarms", form="share"
        ),
        "label_rate": MetricWords(
            name="Share of positives",
            phrase="share of positives",
            meaning="observed, and expected from the scores",
            form="share",
            is_level=True,
        ),
    }


def changes(figures: Mapping[str, PerformanceRow], words: Mapping[str, MetricWords]) -> list[str]:
    """Describe differences from the expected rate, the baseline and the estimates."""
    return [
        _rate(figures),
        sentences.against_baseline(figures, words, ("log_loss", "expected_cost")),
        _calibration(figures),
        sentences.estimate_error(figures, words, ("auc", "log_loss", "expected_cost")),
    ]


def _rate(rows: Mapping[str, PerformanceRow]) -> str:
    row = rows.get("label_rate")
    if row is None or row.value is None:
        return ""
    observed = f"{share(row.value)} of the labels are positive"
    if row.estimated is None:
        return f"{observed}." if row.baseline is None else f"{observed}; {share(row.baseline)} were earlier."
    if row.estimated.low <= row.value <= row.estimated.high:
        return f"{observed}, as expected from the scores ({share(row.estimated.value)})."
    more = "more" if row.value > row.estimated.value else "fewer"
    return f"{observed}, {more} than the {share(row.estimated.value)} expected from the scores."


def _calibration(rows: Mapping[str, PerformanceRow]) -> str:
    row = rows.get("calibration_error")
    error = row.interval if row else None
    if error is None:
        return ""
    if error.low == 0:
        return "The probabilities show no calibration error beyond chance."
    limits = f"{share(error.low)} to {share(error.high)}"
    return f"Probabilities are off by {share(error.value)} on average ({limits}), corrected for chance."


def describe_slice(figures: Mapping[str, PerformanceRow], rows: Mapping[str, PerformanceRow]) -> str:
    """Describe a value of a slice with an unexpected share of positives, after the shift of all rows."""
    all_rates, rate = figures.get("label_rate"), rows.get("label_rate")
    shift = (all_rates.estimate_error or 0.0) if all_rates else 0.0
    if not (rate and rate.interval and rate.estimated and _are_disjoint(rate.interval, rate.estimated, shift)):
        return ""
    observed, expected = share(rate.interval.value), share(rate.estimated.value)
    return f"{rate.slice_value}: {observed} positive, {expected} expected."


def _are_disjoint(observed: Interval, expected: Interval, shift: float) -> bool:
    """Whether the intervals of the observed and the expected share are disjoint after the shift of all rows."""
    return observed.low > expected.high + shift or observed.high < expected.low + shift


def describe_calibration(groups: Sequence[Group]) -> list[str]:
    """Describe the groups whose observed share differs most from the predicted one."""
    off = [group for group in groups if not group.observed.low <= group.predicted <= group.observed.high]
    agree = len(groups) - len(off)
    described = [
        f"In {agree} of {len(groups)} groups of similar predictions the observed share agrees with the predicted one."
    ]
    for group in sorted(off, key=lambda group: -abs(group.predicted - group.observed.value))[:2]:
        described.append(
            f"Where {share(group.predicted)} was predicted, {share(group.observed.value)} was observed "
            f"({count(group.rows)} rows)."
        )
    return described
