"""Plot of the calibration of yes/no questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightjar.monitoring.drift.plots import text
from nightjar.monitoring.performance.plots import WIDTH, Scale, dot, line, rect, svg, ticks
from nightjar.monitoring.reporting.formatting import count, share

if TYPE_CHECKING:
    from markupsafe import Markup

    from nightjar.monitoring.performance.binary.calibration import Group


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
    parts = [line("grid", left, y(tick), right, y(tick)) for tick in marks]
    parts += [text(left - 7, y(tick) + 4, share(tick), "name quiet-name") for tick in marks]
    parts.append(line("ideal", x(0), y(0), x(reach), y(reach)))
    for group in groups:
        agrees = group.observed.low <= group.predicted <= group.observed.high
        kind = "" if agrees else " moved"
        place = x(group.predicted)
        parts.append(line(f"whisker{kind}", place, y(group.observed.low), place, y(group.observed.high)))
        parts.append(dot(f"point{kind}", place, y(group.observed.value)))
    parts += _strip(histogram, x, foot + 62, 46, reach)
    parts += [text(x(tick), foot + 78, share(tick), "tick") for tick in marks]
    parts.append(text((left + right) / 2, foot + 94, "predicted", "tick"))
    label = "Calibration: " + "; ".join(
        f"predicted {share(group.predicted)}, observed {share(group.observed.value)} of {count(group.rows)} rows"
        for group in groups
    )
    return svg(foot + 98, label, parts, "plot calibration")


def _strip(histogram: Sequence[tuple[int, int]], x: Scale, floor: float, height: float, reach: float) -> list[Markup]:
    """Draw the histogram: rows pale, positives strong."""
    bars = [(i / len(histogram), rows, hits) for i, (rows, hits) in enumerate(histogram) if i / len(histogram) < reach]
    tallest = max([1, *(rows for _, rows, _ in bars)])
    width = x(1 / len(histogram)) - x(0)
    parts = [line("axis", x(0), floor, x(reach), floor)]
    for start, rows, hits in bars:
        for kind, amount in (("then", rows), ("now", hits)):
            tall = height * amount / tallest
            if amount:
                parts.append(rect(kind, x(start) + 1, floor - max(tall, 0.8), width - 2, max(tall, 0.8)))
    return parts
