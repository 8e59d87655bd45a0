"""Inline SVG plots of performance: dots with intervals and a text label; colours come from CSS."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from nightjar.monitoring.drift.plots import text
from nightjar.monitoring.performance.wording import NAMES, figure, span
from nightjar.monitoring.reporting.formatting import count, share

if TYPE_CHECKING:
    from datetime import date

    from nightjar.monitoring.performance.calibration import Group
    from nightjar.monitoring.performance.intervals import Interval
    from nightjar.monitoring.performance.report_data import Point
    from nightjar.monitoring.performance.rows import PerformanceRow

Scale = Callable[[float], float]
WIDTH = 360.0
MAX_SLICES = 20
"""Maximum number of slice values in the plot; the table has all."""


def _svg(height: float, label: str, parts: Sequence[Markup], kind: str = "plot") -> Markup:
    return Markup('<svg class="{}" viewBox="0 0 360 {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        kind, height, label, Markup("").join(parts)
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _dot(kind: str, x: float, y: float, radius: float = 3.6) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>').format(kind, x, y, radius)


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
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


def gauge(auc: Interval, holdout: float | None, floor: float | None) -> Markup:
    """Draw the AUC with its interval between chance and 1, with the holdout and the floor as marks."""
    low = min(0.5, math.floor(auc.low * 20) / 20)
    left, right, y = 8.0, WIDTH - 8, 44.0

    def x(value: float) -> float:
        return float(left + (value - low) / (1 - low) * (right - left))

    parts = [_line("axis", left, y, right, y)]
    parts += [_line("axis", x(tick), y - 3, x(tick), y + 3) for tick in ticks(low, 1.0, 5)]
    parts += [text(x(tick), y + 19, f"{tick:g}", "tick") for tick in ticks(low, 1.0, 5)]
    parts.append(_rect("reach", x(auc.low), y - 7, x(auc.high) - x(auc.low), 14))
    label = f"AUC {figure('auc', auc.value)}, interval {span('auc', auc.low, auc.high)}"
    for name, value in (("holdout", holdout), ("floor", floor)):
        if value is not None:
            above = name == "holdout"
            parts.append(_line(f"mark {name}", x(value), y - 13, x(value), y + 9))
            place = min(max(x(value), 34), WIDTH - 34)
            parts.append(text(place, y - 18 if above else y + 34, f"{name} {figure('auc', value)}", "tick"))
            label += f"; {name} {figure('auc', value)}"
    parts.append(_dot("point", x(auc.value), y, 5.5))
    return _svg(80 if floor is not None else 66, label, parts, "plot gauge")


def nights_plot(
    points: Sequence[Point], metric: str, *, unit: str = "", floor: float | None = None, weekly: bool = False
) -> Markup:
    """Draw a metric over nights: judged as dots, estimated as hollow dots, with intervals; baselines as bars."""
    drawn = [(point.night, point.rows[metric]) for point in points if _shown(point.rows.get(metric))]
    if not drawn:
        return Markup("")
    last = [row for _, row in drawn if row.value is not None][-1:]
    holdout = last[0].holdout if last and metric == "auc" else None
    scale, marks = _vertical_scale(drawn, [floor, holdout], metric)
    left, right, foot = 44.0, WIDTH - 6, 160.0
    parts = [_line("grid", left, scale(tick), right, scale(tick)) for tick in marks]
    parts += [text(left - 7, scale(tick) + 4, _axis(metric, tick), "name quiet-name") for tick in marks]
    for name, value in (("holdout", holdout), ("floor", floor)):
        if value is not None:
            parts.append(_line(f"mark {name}", left, scale(value), right, scale(value)))
    first, days = drawn[0][0], max((drawn[-1][0] - drawn[0][0]).days, 1)
    inset = 8.0 if len(drawn) > 1 else (right - left) / 2

    def x(night: date) -> float:
        return float(left + inset + (night - first).days / days * (right - left - 2 * inset))

    width = min(5.0, (right - left) / len(drawn) * 0.42)
    parts += [part for night, row in drawn for part in _night_marks(row, x(night), scale, width)]
    parts += [text(place, foot + 17, label, "tick") for place, label in _dates([night for night, _ in drawn], x)]
    values = "; ".join(f"{night}: {_describe(metric, row, unit)}" for night, row in drawn)
    return _svg(foot + 22, f"{NAMES[metric]} by {'week' if weekly else 'night'}: {values}", parts)


def _shown(row: PerformanceRow | None) -> bool:
    return row is not None and (row.value is not None or row.estimate is not None)


def _vertical_scale(
    drawn: Sequence[tuple[date, PerformanceRow]], lines: Sequence[float | None], metric: str
) -> tuple[Scale, list[float]]:
    """Return the scale from values to heights and its marks; one very wide interval does not flatten the others."""
    values = [v for _, row in drawn for v in (row.value, row.estimate) if v is not None]
    values += [line for line in lines if line is not None]
    values += [row.baseline for _, row in drawn if metric != "auc" and row.baseline is not None]
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


def _night_marks(row: PerformanceRow, x: float, scale: Scale, width: float) -> list[Markup]:
    low, high = _ends(row)
    judged = row.value is not None
    kind = "" if judged else " guess"
    parts = []
    if low is not None and high is not None:
        parts.append(_line(f"whisker{kind}", x, scale(low), x, scale(high)))
    if judged and row.metric != "auc" and row.baseline is not None:
        parts.append(_line("constant", x - width, scale(row.baseline), x + width, scale(row.baseline)))
    if judged and row.estimate is not None:
        parts.append(_dot("point guess small", x, scale(row.estimate), min(2.4, width)))
    middle = row.value if row.value is not None else row.estimate
    if middle is not None:
        parts.append(_dot(f"point{kind}", x, scale(middle), min(3.6, width)))
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


def _axis(metric: str, value: float) -> str:
    return share(value) if metric == "label_rate" else f"{value:g}"


def _describe(metric: str, row: PerformanceRow, unit: str) -> str:
    if row.value is None:
        return f"estimated {figure(metric, row.estimate, unit)}"
    baseline = "" if metric == "auc" or row.baseline is None else f", baseline {figure(metric, row.baseline, unit)}"
    return f"{figure(metric, row.value, unit)} ({span(metric, row.low, row.high)}){baseline}"


def slices_plot(values: Sequence[Mapping[str, PerformanceRow]], whole: PerformanceRow) -> Markup:
    """Draw the AUC of each value of a slice with its interval; all rows as a line."""
    measured = [(rows["auc"], rows["auc"].interval) for rows in values if "auc" in rows]
    drawn = [(row, auc) for row, auc in measured if auc is not None][:MAX_SLICES]
    of_all = whole.interval
    if not drawn or of_all is None:
        return Markup("")
    step, top, left, right = 22.0, 22.0, 66.0, WIDTH - 46
    low = min(0.5, *(auc.low for _, auc in drawn))
    high = max(of_all.high, *(auc.high for _, auc in drawn))
    low, high = max(low, 0.3), min(1.0, high + 0.01)

    def x(value: float) -> float:
        return float(left + (min(max(value, low), high) - low) / (high - low) * (right - left))

    foot = top + step * len(drawn)
    marks = ticks(low, high)
    parts = [_line("grid", x(tick), top - 6, x(tick), foot) for tick in marks]
    parts += [text(x(tick), foot + 15, f"{tick:g}", "tick") for tick in marks]
    parts.append(_rect("reach", x(of_all.low), top - 6, x(of_all.high) - x(of_all.low), foot - top + 6))
    parts.append(_line("mark whole", x(of_all.value), top - 6, x(of_all.value), foot))
    parts.append(text(x(of_all.value), top - 11, "all rows", "tick"))
    for i, (row, auc) in enumerate(drawn):
        y = top + step * (i + 0.5)
        kind = " moved" if auc.high < of_all.low else ""
        parts.append(text(left - 10, y + 4, _short(row.slice_value), "name"))
        parts.append(_line(f"whisker{kind}", x(auc.low), y, x(auc.high), y))
        parts.append(_dot(f"point{kind}", x(auc.value), y))
        parts.append(text(right + 8, y + 4, figure("auc", auc.value), "side"))
    label = f"AUC by {drawn[0][0].slice}: " + "; ".join(
        f"{row.slice_value} {figure('auc', auc.value)} ({span('auc', auc.low, auc.high)})" for row, auc in drawn
    )
    return _svg(foot + 22, f"{label}; all rows {figure('auc', of_all.value)}", parts)


def calibration_plot(groups: Sequence[Group], histogram: Sequence[tuple[int, int]]) -> Markup:
    """Draw observed against predicted shares of the groups, and below a histogram of the predictions."""
    reach = max([0.1, *(max(group.predicted, group.observed.high) for group in groups)])
    reach = min(1.0, ticks(0, reach * 1.25, 4)[-1])
    left, right, top, foot = 44.0, WIDTH - 10, 8.0, 236.0

    def x(value: float) -> float:
        return left + min(value, reach) / reach * (right - left)

    def y(value: float) -> float:
        return foot - min(value, reach) / reach * (foot - top)

    marks = ticks(0, reach)
    parts = [_line("grid", left, y(tick), right, y(tick)) for tick in marks]
    parts += [text(left - 7, y(tick) + 4, share(tick), "name quiet-name") for tick in marks]
    parts.append(_line("ideal", x(0), y(0), x(reach), y(reach)))
    for group in groups:
        agrees = group.observed.low <= group.predicted <= group.observed.high
        kind = "" if agrees else " moved"
        place = x(group.predicted)
        parts.append(_line(f"whisker{kind}", place, y(group.observed.low), place, y(group.observed.high)))
        parts.append(_dot(f"point{kind}", place, y(group.observed.value)))
    parts += _strip(histogram, x, foot + 62, 46, reach)
    parts += [text(x(tick), foot + 78, share(tick), "tick") for tick in marks]
    parts.append(text((left + right) / 2, foot + 94, "predicted", "tick"))
    label = "Calibration: " + "; ".join(
        f"predicted {share(group.predicted)}, observed {share(group.observed.value)} of {count(group.rows)} rows"
        for group in groups
    )
    return _svg(foot + 98, label, parts, "plot calibration")


def _strip(histogram: Sequence[tuple[int, int]], x: Scale, floor: float, height: float, reach: float) -> list[Markup]:
    """Draw the histogram: rows pale, positives strong."""
    bars = [(i / len(histogram), rows, hits) for i, (rows, hits) in enumerate(histogram) if i / len(histogram) < reach]
    tallest = max([1, *(rows for _, rows, _ in bars)])
    width = x(1 / len(histogram)) - x(0)
    parts = [_line("axis", x(0), floor, x(reach), floor)]
    for start, rows, hits in bars:
        for kind, amount in (("then", rows), ("now", hits)):
            tall = height * amount / tallest
            if amount:
                parts.append(_rect(kind, x(start) + 1, floor - max(tall, 0.8), width - 2, max(tall, 0.8)))
    return parts


def _short(name: str, limit: int = 9) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "\u2026"
