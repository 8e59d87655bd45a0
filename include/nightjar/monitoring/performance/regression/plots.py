"""Plot of predicted and observed means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightjar.monitoring.drift.plots import text
from nightjar.monitoring.performance.plots import WIDTH, dot, line, svg, ticks
from nightjar.monitoring.reporting.formatting import count, number

if TYPE_CHECKING:
    from markupsafe import Markup

    from nightjar.monitoring.performance.regression.deciles import Group


def groups_plot(groups: Sequence[Group], unit: str) -> Markup:
    """Draw the mean label against the mean prediction of each group, with intervals."""
    values = [value for group in groups for value in (group.predicted, group.observed.value)]
    ends = [end for group in groups for end in (group.observed.low, group.observed.high) if math.isfinite(end)]
    room = max(max(values) - min(values), 1e-9 * max(map(abs, values)), 1e-9)
    low = max(min([*ends, *values]), min(values) - room)
    high = min(max([*ends, *values]), max(values) + room)
    marks = ticks(low - room * 0.05, high + room * 0.05)
    low, high = min(low, *marks), max(high, *marks)
    left, right, top, foot = 52.0, WIDTH - 10, 8.0, 236.0

    def place(value: float, start: float, end: float) -> float:
        return start + (min(max(value, low), high) - low) / ((high - low) or 1.0) * (end - start)

    parts = [line("grid", left, place(tick, foot, top), right, place(tick, foot, top)) for tick in marks]
    parts += [text(left - 7, place(tick, foot, top) + 4, number(tick), "name quiet-name") for tick in marks]
    parts.append(line("ideal", left, foot, right, top))
    for group in groups:
        kind = "" if group.agrees else " moved"
        x, observed = place(group.predicted, left, right), group.observed
        parts.append(line(f"whisker{kind}", x, place(observed.low, foot, top), x, place(observed.high, foot, top)))
        parts.append(dot(f"point{kind}", x, place(observed.value, foot, top)))
    parts += [text(place(tick, left, right), foot + 17, number(tick), "tick") for tick in marks]
    parts.append(text((left + right) / 2, foot + 34, f"predicted, {unit}", "tick"))
    label = "Predicted and observed: " + "; ".join(
        f"predicted {number(group.predicted)}, observed {number(group.observed.value)} {unit} "
        f"of {count(group.rows)} rows"
        for group in groups
    )
    return svg(foot + 38, label, parts, "plot calibration")
