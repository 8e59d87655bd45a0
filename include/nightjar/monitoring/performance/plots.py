"""Inline SVG plots of performance: dots with intervals and a text label; colours come from CSS."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from nightjar.monitoring.drift.plots import text

if TYPE_CHECKING:
    from datetime import date

    from nightjar.monitoring.performance.intervals import Interval
    from nightjar.monitoring.performance.metric_words import MetricWords
    from nightjar.monitoring.performance.monitored import Monitored
    from nightjar.monitoring.performance.report_data import Point
    from nightjar.monitoring.performance.rows import PerformanceRow

Scale = Callable[[float], float]
WIDTH = 360.0
MAX_SLICES = 20
"""Maximum number of slice values in the plot; the table has all."""


def svg(height: float, label: str, parts: Sequence[Markup], kind: str = "plot") -> Markup:
    """Return a plot that a screen reader reads as ``label``."""
    return Markup('<svg class="{}" viewBox="0 0 360 {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        kind, height, label, Markup("").join(parts)
    )


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """Draw a line."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def dot(kind: str, x: float, y: float, radius: float = 3.6) -> Markup:
    """Draw a dot."""
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>').format(kind, x, y, radius)


def rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    """Draw a rectangle."""
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5"/>').format(
        kind, x, y, width, height
    )


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Return about ``wanted`` round values from ``low`` to ``high``."""
    if high <= low:
        return [low]
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def gauge(monitored: Monitored, row: PerformanceRow, bound: float | None) -> Markup:
    """Draw the monitored metric with its interval on the axis of its values, with holdout and bound as marks."""
    value, words = row.interval, monitored.words
    if value is None:
        return Markup("")
    low, high = _range_of_gauge(monitored, value, [v for v in (row.holdout, bound) if v is not None])
    left, right, y = 8.0, WIDTH - 8, 44.0

    def x(value: float) -> float:
        return float(left + (value - low) / (high - low) * (right - left))

    parts = [line("axis", left, y, right, y)]
    parts += [line("axis", x(tick), y - 3, x(tick), y + 3) for tick in ticks(low, high, 5)]
    parts += [text(x(tick), y + 19, f"{tick:g}", "tick") for tick in ticks(low, high, 5)]
    start, end = (min(max(end, low), high) for end in (value.low, value.high))
    parts.append(rect("reach", x(start), y - 7, x(end) - x(start), 14))
    label = f"{words.name} {words.figure(value.value)}, interval {words.span(value.low, value.high)}"
    for kind, name, mark in (("holdout", "holdout", row.holdout), ("floor", monitored.bound_name, bound)):
        if mark is not None:
            parts.append(line(f"mark {kind}", x(mark), y - 13, x(mark), y + 9))
            place = min(max(x(mark), 34), WIDTH - 34)
            parts.append(text(place, y - 18 if kind == "holdout" else y + 34, f"{name} {words.figure(mark)}", "tick"))
            label += f"; {name} {words.figure(mark)}"
    parts.append(dot("point", x(value.value), y, 5.5))
    return svg(80 if bound is not None else 66, label, parts, "plot gauge")


def _range_of_gauge(monitored: Monitored, value: Interval, marks: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the gauge: up to 1 for a share, from 0 for an error."""
    if not monitored.metric.lower_is_better:
        return min([0.5, math.floor(value.low * 20) / 20, *(math.floor(mark * 20) / 20 for mark in marks)]), 1.0
    reach = max([1e-9, value.value, *marks]) * 1.25
    high = min(value.high, 2 * reach)
    return 0.0, max(reach, high)


def nights_plot(
    points: Sequence[Point], metric: str, words: MetricWords, monitored: Monitored, *, bound: float | None, weekly: bool
) -> Markup:
    """Draw a metric over nights: judged as dots, estimated as hollow dots, with intervals; baselines as bars.

    Args:
        points: The nights.
        metric: The metric.
        words: Its words.
        monitored: The monitored metric, which is drawn with holdout and bound.
        bound: Bound of the monitored metric; None for none.
        weekly: Whether each point is a week.
    """
    drawn = [(point.night, point.rows[metric]) for point in points if _shown(point.rows.get(metric))]
    if not drawn:
        return Markup("")
    last = [row for _, row in drawn if row.value is not None][-1:]
    if metric != monitored.name:
        bound = None
    holdout = last[0].holdout if last and metric == monitored.name else None
    scale, marks = _vertical_scale(drawn, [bound, holdout], shows_baseline=words.shows_baseline)
    left, right, foot = 44.0, WIDTH - 6, 160.0
    parts = [line("grid", left, scale(tick), right, scale(tick)) for tick in marks]
    parts += [text(left - 7, scale(tick) + 4, words.axis(tick), "name quiet-name") for tick in marks]
    for kind, value in (("holdout", holdout), ("floor", bound)):
        if value is not None:
            parts.append(line(f"mark {kind}", left, scale(value), right, scale(value)))
    first, days = drawn[0][0], max((drawn[-1][0] - drawn[0][0]).days, 1)
    inset = 8.0 if len(drawn) > 1 else (right - left) / 2

    def x(night: date) -> float:
        return float(left + inset + (night - first).days / days * (right - left - 2 * inset))

    width = min(5.0, (right - left) / len(drawn) * 0.42)
    parts += [part for night, row in drawn for part in _night_marks(row, x(night), scale, width, words.shows_baseline)]
    parts += [text(place, foot + 17, label, "tick") for place, label in _dates([night for night, _ in drawn], x)]
    values = "; ".join(f"{night}: {_describe(words, row)}" for night, row in drawn)
    return svg(foot + 22, f"{words.name} by {'week' if weekly else 'night'}: {values}", parts)


def _shown(row: PerformanceRow | None) -> bool:
    return row is not None and (row.value is not None or row.estimate is not None)


def _vertical_scale(
    drawn: Sequence[tuple[date, PerformanceRow]], lines: Sequence[float | None], *, shows_baseline: bool
) -> tuple[Scale, list[float]]:
    """Return the scale from values to heights and its marks; one very wide interval does not flatten the others."""
    values = [v for _, row in drawn for v in (row.value, row.estimate) if v is not None]
    values += [line for line in lines if line is not None]
    values += [row.baseline for _, row in drawn if shows_baseline and row.baseline is not None]
    ends = [v for _, row in drawn for v in _ends(row) if v is not None and math.isfinite(v)]
    widths = sorted(
        high - low for low, high in map(_ends, (row for _, row in drawn)) if low is not None and high is not None
    )
    usual = widths[len(widths) // 2] if widths and math.isfinite(widths[len(widths) // 2]) else 0.0
    room = max(max(values) - min(values), usual, 1e-9)
    low = max(min([*ends, *values]), min(values) - room)
    high = min(max([*ends, *values]), max(values) + room)
    marks = ticks(low - (high - low) * 0.04, high + (high - low) * 0.04)
    low, high = min(low, *marks), max(high, *marks)
    top, foot = 8.0, 156.0

    def scale(value: float) -> float:
        return float(min(foot, max(top, foot - (value - low) / ((high - low) or 1.0) * (foot - top))))

    return scale, marks


def _ends(row: PerformanceRow) -> tuple[float | None, float | None]:
    judged = row.value is not None
    return (row.low, row.high) if judged else (row.estimate_low, row.estimate_high)


def _night_marks(row: PerformanceRow, x: float, scale: Scale, width: float, shows_baseline: bool) -> list[Markup]:
    low, high = _ends(row)
    judged = row.value is not None
    kind = "" if judged else " guess"
    parts = []
    if low is not None and high is not None:
        parts.append(line(f"whisker{kind}", x, scale(low), x, scale(high)))
    if judged and shows_baseline and row.baseline is not None:
        parts.append(line("constant", x - width, scale(row.baseline), x + width, scale(row.baseline)))
    if judged and row.estimate is not None:
        parts.append(dot("point guess small", x, scale(row.estimate), min(2.4, width)))
    middle = row.value if row.value is not None else row.estimate
    if middle is not None:
        parts.append(dot(f"point{kind}", x, scale(middle), min(3.6, width)))
    return parts


def _dates(nights: Sequence[date], x: Callable[[date], float]) -> list[tuple[float, str]]:
    """Return about five dates for the axis, always including the last."""
    step = max(1, math.ceil(len(nights) / 5))
    chosen = list(nights[::-1][::step])[::-1]
    placed: list[tuple[float, str]] = []
    for night in reversed(chosen):
        place = min(max(x(night), 50), WIDTH - 20)
        if not placed or placed[-1][0] - place > 46:
            placed.append((place, f"{night:%-d %b}"))
    return placed


def _describe(words: MetricWords, row: PerformanceRow) -> str:
    if row.value is None:
        return f"estimated {words.figure(row.estimate, with_unit=True)}"
    figure = f"{words.figure(row.value, with_unit=True)} ({words.span(row.low, row.high)})"
    if not words.shows_baseline or row.baseline is None:
        return figure
    return f"{figure}, baseline {words.figure(row.baseline, with_unit=True)}"


def slices_plot(
    monitored: Monitored, values: Sequence[Mapping[str, PerformanceRow]], whole: PerformanceRow | None
) -> Markup:
    """Draw the monitored metric of each value of a slice with its interval; all rows as a line."""
    name, words = monitored.name, monitored.words
    measured = [(rows[name], rows[name].interval) for rows in values if name in rows]
    drawn = [(row, value) for row, value in measured if value is not None][:MAX_SLICES]
    of_all = whole.interval if whole else None
    if not drawn or of_all is None:
        return Markup("")
    step, top, left, right = 22.0, 22.0, 66.0, WIDTH - 46
    low, high = _range_of_slices(monitored, [value for _, value in drawn], of_all)

    def x(value: float) -> float:
        return float(left + (min(max(value, low), high) - low) / (high - low) * (right - left))

    foot = top + step * len(drawn)
    marks = ticks(low, high)
    parts = [line("grid", x(tick), top - 6, x(tick), foot) for tick in marks]
    parts += [text(x(tick), foot + 15, f"{tick:g}", "tick") for tick in marks]
    parts.append(rect("reach", x(of_all.low), top - 6, x(of_all.high) - x(of_all.low), foot - top + 6))
    parts.append(line("mark whole", x(of_all.value), top - 6, x(of_all.value), foot))
    parts.append(text(x(of_all.value), top - 11, "all rows", "tick"))
    for i, (row, value) in enumerate(drawn):
        y = top + step * (i + 0.5)
        kind = " moved" if monitored.are_apart(value, of_all) else ""
        parts.append(text(left - 10, y + 4, _short(row.slice_value), "name"))
        parts.append(line(f"whisker{kind}", x(value.low), y, x(value.high), y))
        parts.append(dot(f"point{kind}", x(value.value), y))
        parts.append(text(right + 8, y + 4, words.figure(value.value), "side"))
    label = f"{words.name} by {drawn[0][0].slice}: " + "; ".join(
        f"{row.slice_value} {words.figure(value.value)} ({words.span(value.low, value.high)})" for row, value in drawn
    )
    return svg(foot + 22, f"{label}; all rows {words.figure(of_all.value)}", parts)


def _range_of_slices(monitored: Monitored, values: Sequence[Interval], of_all: Interval) -> tuple[float, float]:
    """Return the ends of the axis; one very wide interval does not flatten the others."""
    low, high = min(value.low for value in values), max(of_all.high, *(value.high for value in values))
    if not monitored.metric.lower_is_better:
        least = min(0.3, of_all.value, *(value.value for value in values))
        return max(min(0.5, low), least), min(1.0, high + 0.01)
    most = max(of_all.value, *(value.value for value in values))
    return max(0.0, min(low, of_all.low)), max(min(high, 2 * most), 1e-9)


def _short(name: str, limit: int = 9) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "\u2026"
