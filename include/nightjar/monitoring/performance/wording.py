"""Sentences of the performance pages. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from nightjar.monitoring.reporting.formatting import count, number, share

if TYPE_CHECKING:
    from nightjar.monitoring.incidents.findings import Finding
    from nightjar.monitoring.performance.calibration import Group
    from nightjar.monitoring.performance.intervals import Interval
    from nightjar.monitoring.performance.report_data import PerformanceReport, Point
    from nightjar.monitoring.performance.rows import PerformanceRow

NAMES = {
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
    "expected_cost": "Cost per row",
    "label_rate": "Share of positives",
}
MEANINGS = {
    "auc": "share of (positive, negative) pairs in the right order; 0.5 is chance",
    "pr_auc": "mean precision over all thresholds; chance is the share of positives",
    "log_loss": "nats per row; lower is better",
    "brier": "mean squared error of the probabilities; lower is better",
    "calibration_error": "mean distance of predicted from observed shares, corrected for chance; lower is better",
    "expected_cost": "cost of wrong decisions per decided row; lower is better",
    "label_rate": "observed, and expected from the scores",
}
_SHARES = frozenset({"label_rate", "calibration_error"})
DASH = "\u2013"


def metric_name(metric: str) -> str:
    """Return the display name of a metric."""
    return NAMES[metric]


def meaning(metric: str) -> str:
    """Return the meaning of a metric."""
    return MEANINGS[metric]


def figure(metric: str, value: float | None, unit: str = "") -> str:
    """Format a metric: three decimals, a share as percent, a cost with its unit; a dash for None."""
    if value is None:
        return DASH
    if metric in _SHARES:
        return share(value)
    if metric == "expected_cost":
        return f"{number(value)}\u202f{unit}".rstrip()
    return f"{value:.3f}".replace("-", "\u2212")


def span(metric: str, low: float | None, high: float | None) -> str:
    """Format an interval; a dash for None."""
    if low is None or high is None:
        return DASH
    return f"{figure(metric, low)} to {figure(metric, high)}"


def day(night: date) -> str:
    """Format a night as weekday and day, without the year."""
    return night.strftime("%A, %-d %B")


def verdict(report: PerformanceReport) -> str:
    """Return the verdict in one to three words."""
    if report.state == "nothing_yet":
        return "Not evaluated yet"
    if report.state == "not_judged":
        return "Not judged"
    if any(finding.severity == "breach" for finding in report.findings):
        return "Below the floor"
    if report.findings:
        return "Worse"
    return "Holds" if report.has_auc else "Judged in part"


def headline(report: PerformanceReport) -> str:
    """Explain the verdict in one sentence, without naming it."""
    if report.state == "nothing_yet":
        return "no night has mature labels."
    if report.state == "not_judged":
        return f"{report.reason}."
    row = report.figures["auc"]
    if row.value is None:
        return f"{row.reason}."
    auc = f"the AUC is {figure('auc', row.value)}"
    subjects = [finding.subject for finding in report.findings]
    if any(subject.endswith("below the floor") for subject in subjects):
        return f"{auc}, and its whole interval lies below the floor of {report.floor:g}."
    if any(subject.endswith("below the holdout") for subject in subjects):
        return f"{auc}; over several nights it is clearly below the {figure('auc', row.holdout)} of the holdout."
    if subjects:
        worse = [
            NAMES[metric].lower() for metric in NAMES if any(f" {metric} above" in subject for subject in subjects)
        ]
        return f"over several nights the baseline has the better {' and '.join(worse)}."
    if row.holdout is None:
        is_better = row.low is not None and row.low > 0.5
        return f"{auc}, better than chance." if is_better else f"{auc}, not significantly better than chance."
    return f"{auc}, {_against(report, row.interval, row.holdout)}."


def _against(report: PerformanceReport, auc: Interval | None, of_holdout: float) -> str:
    holdout = f"the {figure('auc', of_holdout)} of the holdout"
    if auc is None or auc.low <= of_holdout <= auc.high:
        return f"in line with {holdout}"
    if auc.low > of_holdout:
        return f"above {holdout}"
    return f"below {holdout}" if report.weekly else f"below {holdout}, as a single night may be"


def describe_finding(finding: Finding) -> str:
    """Describe a finding without the night, which the page already shows."""
    what = finding.what.partition(": ")[2]
    return f"{what[0].upper()}{what[1:]}."


def changes(report: PerformanceReport) -> list[str]:
    """Describe differences from the expected rate, the baseline, the estimates and earlier nights."""
    rows, unit = report.figures, report.cost.unit if report.cost else ""
    sentences = [
        _rate(rows),
        _against_baseline(rows, unit),
        _calibration(rows),
        _estimate_error(rows, unit),
        _against_history(report),
    ]
    return [sentence for sentence in sentences if sentence]


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


def _against_baseline(rows: Mapping[str, PerformanceRow], unit: str) -> str:
    """Compare log loss and cost with the baseline."""
    parts = []
    for metric in ("log_loss", "expected_cost"):
        row = rows.get(metric)
        if row and row.value is not None and row.baseline:
            less = 1 - row.value / row.baseline
            excess = row.excess_interval
            unsure = excess is not None and excess.low <= 0 <= excess.high
            side = "below" if less >= 0 else "above"
            doubt = ", which may be chance" if unsure else ""
            parts.append(
                f"{NAMES[metric].lower()} {figure(metric, row.value, unit)} is {share(abs(less))} {side} "
                f"the baseline\u2019s {figure(metric, row.baseline, unit)}{doubt}"
            )
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def _calibration(rows: Mapping[str, PerformanceRow]) -> str:
    row = rows.get("calibration_error")
    error = row.interval if row else None
    if error is None:
        return ""
    if error.low == 0:
        return "The probabilities show no calibration error beyond chance."
    limits = f"{share(error.low)} to {share(error.high)}"
    return f"Probabilities are off by {share(error.value)} on average ({limits}), corrected for chance."


def _estimate_error(rows: Mapping[str, PerformanceRow], unit: str) -> str:
    parts = []
    for metric in ("auc", "log_loss", "expected_cost"):
        row = rows.get(metric)
        if row and row.estimate_error is not None:
            side = "too high" if row.estimate_error < 0 else "too low"
            off = figure(metric, abs(row.estimate_error), unit)
            parts.append(f"{NAMES[metric]} {figure(metric, row.estimate, unit)} ({off} {side})")
    return f"Estimated before the labels landed: {', '.join(parts)}." if parts else ""


def _against_history(report: PerformanceReport) -> str:
    """Compare the AUC with earlier nights or weeks."""
    row = report.figures.get("auc")
    values = [auc.value for _, auc in _judged(report.history[:-1], "auc")]
    if row is None or row.value is None or len(values) < 3:
        return ""
    lower = sum(earlier < row.value for earlier in values)
    period = "weeks" if report.weekly else "nights"
    if lower in (0, len(values)):
        return f"Its AUC is {'above' if lower else 'below'} that of all {len(values)} {period} before."
    return f"Its AUC is above that of {lower} of the {len(values)} {period} before."


def _judged(points: Sequence[Point], metric: str) -> list[tuple[PerformanceRow, Interval]]:
    """Return the judged rows of a metric with their values."""
    rows = [point.rows[metric] for point in points if metric in point.rows]
    return [(row, interval) for row in rows if (interval := row.interval) is not None]


def describe_onset(report: PerformanceReport) -> str:
    """Describe since when the AUC's whole interval lies below the floor or the holdout."""
    rows = _judged(report.history, "auc")
    if not rows:
        return ""
    limits = [limit for limit in (report.floor, rows[-1][0].holdout) if limit is not None]
    if not limits:
        return ""
    limit = max(limits)
    below = [auc.high < limit for _, auc in rows]
    period = "week" if report.weekly else "night"
    if not below[-1]:
        named = f"{'the floor' if limit == report.floor else 'the holdout’s AUC'} of {figure('auc', limit)}"
        if not any(below):
            return f"None of the {len(rows)} judged {period}s shown has its whole interval below {named}."
        lie = f"{sum(below)} of the {len(rows)} judged {period}s shown lie below {named}"
        return f"{lie} with the whole interval; the last one does not."
    first = len(below) - 1
    while first and below[first - 1]:
        first -= 1
    nights = len(below) - first
    streak = f"the last {nights} judged {period}s" if nights > 1 else f"only this {period}"
    began = f"{'the week to ' if report.weekly else ''}{rows[first][0].ds:%-d %B}"
    return f"Below {figure('auc', limit)} since {began}: {streak}."


def describe_slices(report: PerformanceReport, name: str) -> list[str]:
    """Describe values of a slice with an AUC clearly below that of all rows, or an unexpected share of positives."""
    whole, all_rates = report.figures.get("auc"), report.figures.get("label_rate")
    shift = (all_rates.estimate_error or 0.0) if all_rates else 0.0
    sentences = []
    for rows in report.of_slice(name):
        auc, rate = rows.get("auc"), rows.get("label_rate")
        value = next(iter(rows.values())).slice_value
        if whole and auc and auc.high is not None and whole.low is not None and auc.high < whole.low:
            sentences.append(
                f"{value}: AUC {figure('auc', auc.value)} ({span('auc', auc.low, auc.high)}), clearly below all rows."
            )
        elif rate and rate.interval and rate.estimated and _are_disjoint(rate.interval, rate.estimated, shift):
            observed, expected = share(rate.interval.value), share(rate.estimated.value)
            sentences.append(f"{value}: {observed} positive, {expected} expected.")
    return sentences


def _are_disjoint(observed: Interval, expected: Interval, shift: float) -> bool:
    """Whether the intervals of the observed and the expected share are disjoint after the shift of all rows."""
    return observed.low > expected.high + shift or observed.high < expected.low + shift


def list_estimates(report: PerformanceReport) -> list[tuple[str, str, str]]:
    """Return name, value and interval of each estimated metric."""
    unit = report.cost.unit if report.cost else ""
    return [
        (NAMES[metric], figure(metric, row.estimate, unit), span(metric, row.estimate_low, row.estimate_high))
        for metric, row in report.estimated.items()
        if row.estimate is not None
    ]


def describe_calibration(groups: Sequence[Group]) -> list[str]:
    """Describe the groups whose observed share differs most from the predicted one."""
    off = [group for group in groups if not group.observed.low <= group.predicted <= group.observed.high]
    agree = len(groups) - len(off)
    sentences = [
        f"In {agree} of {len(groups)} groups of similar predictions the observed share agrees with the predicted one."
    ]
    for group in sorted(off, key=lambda group: -abs(group.predicted - group.observed.value))[:2]:
        sentences.append(
            f"Where {share(group.predicted)} was predicted, {share(group.observed.value)} was observed "
            f"({count(group.rows)} rows)."
        )
    return sentences
