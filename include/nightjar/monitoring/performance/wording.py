"""Sentences of the performance pages of every problem type. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightjar.monitoring.incidents.findings import Finding
    from nightjar.monitoring.performance.intervals import Interval
    from nightjar.monitoring.performance.report_data import PerformanceReport, Point
    from nightjar.monitoring.performance.rows import PerformanceRow


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
        monitored = report.problem.monitored
        return f"{monitored.worse_side.capitalize()} the {monitored.bound_name}"
    if report.findings:
        return "Worse"
    return "Holds" if report.is_judged else "Judged in part"


def headline(report: PerformanceReport) -> str:
    """Explain the verdict in one sentence, without naming it."""
    if report.state == "nothing_yet":
        return "no night has mature labels."
    if report.state == "not_judged":
        return f"{report.reason}."
    monitored, words = report.problem.monitored, report.problem.words
    row = report.figures[monitored.name]
    if row.value is None:
        return f"{row.reason}."
    value = f"the {_lower(monitored.words.name)} is {monitored.words.figure(row.value, with_unit=True)}"
    side, bound_name = monitored.worse_side, monitored.bound_name
    subjects = [finding.subject for finding in report.findings]
    if any(subject.endswith(f"{side} the {bound_name}") for subject in subjects):
        bound = monitored.words.limit(report.bound or 0.0)
        return f"{value}, and its whole interval lies {side} the {bound_name} of {bound}."
    if any(subject.endswith(f"{side} the holdout") for subject in subjects):
        holdout = monitored.words.figure(row.holdout)
        return f"{value}; over several nights it is clearly {side} the {holdout} of the holdout."
    if subjects:
        worse = [
            words[metric].name.lower()
            for metric in words
            if any(f" {metric} {side}" in subject for subject in subjects for side in ("above", "below"))
        ]
        return f"over several nights the baseline has the better {' and '.join(worse)}."
    if row.holdout is None:
        excess, chance = row.excess_interval, report.problem.chance
        is_better = excess is not None and monitored.is_all_better(excess, 0.0)
        return f"{value}, better than {chance}." if is_better else f"{value}, not significantly better than {chance}."
    return f"{value}, {_against(report, row.interval, row.holdout)}."


def _against(report: PerformanceReport, interval: Interval | None, of_holdout: float) -> str:
    monitored = report.problem.monitored
    holdout = f"the {monitored.words.figure(of_holdout)} of the holdout"
    if interval is None or interval.low <= of_holdout <= interval.high:
        return f"in line with {holdout}"
    if not monitored.is_worse(interval.value, of_holdout):
        return f"{monitored.better_side} {holdout}"
    side = monitored.worse_side
    return f"{side} {holdout}" if report.weekly else f"{side} {holdout}, as a single night may be"


def describe_finding(finding: Finding) -> str:
    """Describe a finding without the night, which the page already shows."""
    what = finding.what.partition(": ")[2]
    return f"{what[0].upper()}{what[1:]}."


def changes(report: PerformanceReport) -> list[str]:
    """Describe differences from what was expected, the baseline, the estimates and earlier nights."""
    return [sentence for sentence in (*report.problem.changes(report.figures), _against_history(report)) if sentence]


def _against_history(report: PerformanceReport) -> str:
    """Compare the monitored metric with earlier nights or weeks."""
    monitored = report.problem.monitored
    row = report.figures.get(monitored.name)
    values = [interval.value for _, interval in _judged(report.history[:-1], monitored.name)]
    if row is None or row.value is None or len(values) < 3:
        return ""
    lower = sum(earlier < row.value for earlier in values)
    period = "weeks" if report.weekly else "nights"
    name = _lower(monitored.words.name)
    if lower in (0, len(values)):
        return f"Its {name} is {'above' if lower else 'below'} that of all {len(values)} {period} before."
    return f"Its {name} is above that of {lower} of the {len(values)} {period} before."


def _judged(points: Sequence[Point], metric: str) -> list[tuple[PerformanceRow, Interval]]:
    """Return the judged rows of a metric with their values."""
    rows = [point.rows[metric] for point in points if metric in point.rows]
    return [(row, interval) for row in rows if (interval := row.interval) is not None]


def describe_onset(report: PerformanceReport) -> str:
    """Describe since when the monitored metric's whole interval is worse than the bound or the holdout."""
    monitored = report.problem.monitored
    rows = _judged(report.history, monitored.name)
    if not rows:
        return ""
    limits = [limit for limit in (report.bound, rows[-1][0].holdout) if limit is not None]
    if not limits:
        return ""
    limit = monitored.worst(limits)
    worse = [monitored.is_all_worse(interval, limit) for _, interval in rows]
    period, side = "week" if report.weekly else "night", monitored.worse_side
    figure = monitored.words.figure(limit, with_unit=True)
    if not worse[-1]:
        holdout = f"the holdout\u2019s {_lower(monitored.words.name)}"
        named = f"{f'the {monitored.bound_name}' if limit == report.bound else holdout} of {figure}"
        if not any(worse):
            return f"None of the {len(rows)} judged {period}s shown has its whole interval {side} {named}."
        lie = f"{sum(worse)} of the {len(rows)} judged {period}s shown lie {side} {named}"
        return f"{lie} with the whole interval; the last one does not."
    first = len(worse) - 1
    while first and worse[first - 1]:
        first -= 1
    nights = len(worse) - first
    streak = f"the last {nights} judged {period}s" if nights > 1 else f"only this {period}"
    began = f"{'the week to ' if report.weekly else ''}{rows[first][0].ds:%-d %B}"
    return f"{side.capitalize()} {figure} since {began}: {streak}."


def describe_slices(report: PerformanceReport, name: str) -> list[str]:
    """Describe the values of a slice that are clearly worse than all rows, or that the problem type points out."""
    monitored, whole = report.problem.monitored, report.whole
    words, sentences = monitored.words, []
    for rows in report.of_slice(name):
        row = rows.get(monitored.name)
        if whole and whole.interval and row and row.interval and monitored.are_apart(row.interval, whole.interval):
            figures = f"{words.figure(row.value)} ({words.span(row.low, row.high)})"
            sentences.append(f"{row.slice_value}: {words.name} {figures}, clearly {monitored.worse_side} all rows.")
        elif sentence := report.problem.describe_slice(report.figures, rows):
            sentences.append(sentence)
    return sentences


def list_estimates(report: PerformanceReport) -> list[tuple[str, str, str]]:
    """Return name, value and interval of each estimated metric."""
    words = report.problem.words
    return [
        (
            words[metric].name,
            words[metric].figure(row.estimate, with_unit=True),
            words[metric].span(row.estimate_low, row.estimate_high),
        )
        for metric, row in report.estimated.items()
        if row.estimate is not None
    ]


def _lower(name: str) -> str:
    """Return a display name within a sentence; an abbreviation keeps its capitals."""
    return name if name[:2].isupper() else f"{name[0].lower()}{name[1:]}"
