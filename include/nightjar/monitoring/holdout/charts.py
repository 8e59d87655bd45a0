"""Inline SVG charts of a holdout: curves, bars and intervals; colours come from CSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from nightjar.monitoring.drift.plots import text
from nightjar.monitoring.performance.plots import WIDTH, dot, line, rect, svg, ticks
from nightjar.monitoring.reporting.formatting import number, share

_LEFT, _RIGHT, _TOP, _FOOT = 44.0, WIDTH - 10, 8.0, 236.0
_NAME_WIDTH = 150.0

Curve = tuple[Sequence[float], Sequence[float]]
"""Values on both axes, between 0 and 1."""


def _x(share_of_width: float) -> float:
    return _LEFT + share_of_width * (_RIGHT - _LEFT)


def _y(share_of_height: float) -> float:
    return _FOOT - share_of_height * (_FOOT - _TOP)


def _unit_square(x_name: str, marks: Sequence[Markup], *, diagonal: bool, label: str) -> Markup:
    """Draw marks on axes from 0 to 1, over a grid and, if asked, the line on which both are equal."""
    parts = [line("grid", _LEFT, _y(tick), _RIGHT, _y(tick)) for tick in ticks(0, 1)]
    parts += [text(_LEFT - 7, _y(tick) + 4, share(tick), "name quiet-name") for tick in ticks(0, 1)]
    parts += [text(_x(tick), _FOOT + 16, share(tick), "tick") for tick in ticks(0, 1)]
    parts.append(text((_LEFT + _RIGHT) / 2, _FOOT + 32, x_name, "tick"))
    if diagonal:
        parts.append(line("ideal", _x(0), _y(0), _x(1), _y(1)))
    return svg(_FOOT + 36, label, [*parts, *marks], "plot square")


def unit_curves(curves: Mapping[str, Curve], x_name: str, y_name: str, *, diagonal: bool = False) -> Markup:
    """Draw curves within the unit square; the first is drawn strong, the others pale.

    Args:
        curves: Name of the model to its curve.
        x_name: Name of the horizontal axis.
        y_name: Name of the vertical axis.
        diagonal: Whether to draw the diagonal from (0, 0) to (1, 1), e.g. the ROC curve of random alarms.
    """
    drawn, marks = list(curves.items()), []
    for place, (_, (xs, ys)) in reversed(list(enumerate(drawn))):
        points = " ".join(f"{_x(a):.1f},{_y(b):.1f}" for a, b in zip(xs, ys, strict=True))
        marks.append(Markup('<polyline class="curve{}" points="{}"/>').format("" if place == 0 else " other", points))
    label = f"{y_name} by {x_name}: " + "; ".join(
        f"{name} {share(float(np.interp(0.5, xs, ys)))} at {share(0.5)}" for name, (xs, ys) in drawn
    )
    return _unit_square(x_name, marks, diagonal=diagonal, label=label)


def bars(values: Mapping[str, float], caption: str) -> Markup:
    """Draw a bar for each name, in the order given; a negative value goes to the left of zero."""
    low, high = min([0.0, *values.values()]), max([1e-12, *values.values()])
    left, right, step = _NAME_WIDTH, WIDTH - 52, 19.0

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    parts = [line("axis", x(0), 2, x(0), 4 + step * len(values))]
    for place, (name, value) in enumerate(values.items()):
        top = 4 + step * place
        start, end = sorted((x(0), x(value)))
        parts.append(text(left - 8, top + 12, name if len(name) <= 24 else f"{name[:23]}\u2026", "name"))
        parts.append(rect("now", start, top + 2, max(end - start, 0.8), step - 6))
        parts.append(text(x(max(value, 0.0)) + 6, top + 12, number(value), "side"))
    listed = "; ".join(f"{name} {number(value)}" for name, value in values.items())
    return svg(10 + step * len(values), f"{caption}: {listed}", parts)


def shares_against(expected: Sequence[float], observed: Sequence[float], x_name: str, y_name: str) -> Markup:
    """Draw observed against expected shares as dots, with the line on which they are equal."""
    marks = [dot("point", _x(a), _y(b)) for a, b in zip(expected, observed, strict=True)]
    listed = "; ".join(f"{x_name} {share(a)}, {y_name} {share(b)}" for a, b in zip(expected, observed, strict=True))
    return _unit_square(x_name, marks, diagonal=True, label=listed)


def histogram(values: np.ndarray, name: str, *, bins: int = 40) -> Markup:
    """Draw how often values occur between their 1st and 99th percentile; values beyond are in the outermost bars."""
    low, high = (float(np.quantile(values, at)) for at in (0.01, 0.99))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    width, tallest, foot = (_RIGHT - _LEFT) / bins, max(1, int(counts.max())), 150.0

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT)

    parts = [line("axis", _LEFT, foot, _RIGHT, foot)]
    for count, edge in zip(counts, edges[:-1], strict=True):
        tall = (foot - _TOP) * int(count) / tallest
        parts.append(rect("now", x(float(edge)) + 0.5, foot - tall, width - 1, tall))
    if low < 0 < high:
        parts.append(line("ideal", x(0), _TOP, x(0), foot))
    parts += [text(x(tick), foot + 16, number(tick), "tick") for tick in ticks(low, high)]
    parts.append(text((_LEFT + _RIGHT) / 2, foot + 32, name, "tick"))
    middle, spread = float(np.median(values)), float(np.std(values))
    return svg(foot + 36, f"{name}: median {number(middle)}, standard deviation {number(spread)}", parts)
