"""Small inline SVG plots: training as wide pale bars, the night as narrow strong ones; colours come from CSS."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from nightjar.monitoring.data_quality.volumes import Volume
from nightjar.monitoring.drift.comparison import ColumnDrift, NightDrift
from nightjar.monitoring.drift.measures import bin_counts, bin_divergence
from nightjar.monitoring.drift.table import PastNight
from nightjar.monitoring.drift.wording import MISSING, OTHERS, bin_names
from nightjar.monitoring.reporting.formatting import share

MAX_BARS = 9
"""Maximum number of bars of a categorical column."""
MAX_SHARES = 6
"""Maximum number of columns in the plot of the domain classifier."""


@dataclass(frozen=True)
class Bar:
    """One bin: name, share of training and of the night, contribution to the PSI, and whether that is drift."""

    name: str
    reference: float
    night: float
    weight: float
    moved: bool


def bars(column: ColumnDrift) -> list[Bar]:
    """Return the non-empty bins of a column; of many categories the most important, the rest in one bar."""
    reference, night = bin_counts(column.reference), bin_counts(column.night)
    weights = bin_divergence(reference, night)
    large = max(0.02, float(weights.sum()) / 5)
    drawn = [
        Bar(
            name,
            a / reference.sum(),
            b / night.sum(),
            float(weight),
            column.verdict == "drift" and bool(weight > large),
        )
        for name, a, b, weight in zip(bin_names(column.reference), reference, night, weights, strict=True)
        if a + b > 0
    ]
    if column.reference.kind == "numeric" or len(drawn) <= MAX_BARS:
        return drawn
    return _fold(drawn)


def _fold(drawn: Sequence[Bar]) -> list[Bar]:
    """Keep the bars that moved most or are highest, and merge the rest into one."""
    named = [bar for bar in drawn if bar.name not in {OTHERS, MISSING}]
    heaviest = max(named, key=lambda bar: bar.weight)
    ranked = sorted(named, key=lambda b: (b is not heaviest, not b.moved, -max(b.reference, b.night), b.name))
    kept = sorted(ranked[: MAX_BARS - 2], key=lambda b: (-b.reference, b.name))
    others = [bar for bar in drawn if bar.name == OTHERS]
    rest = [*ranked[MAX_BARS - 2 :], *others]
    folded = Bar(
        name=OTHERS,
        reference=sum(bar.reference for bar in rest),
        night=sum(bar.night for bar in rest),
        weight=sum(bar.weight for bar in rest),
        moved=any(bar.moved for bar in others),
    )
    return [*kept, folded, *(bar for bar in drawn if bar.name == MISSING)]


def plot(column: ColumnDrift) -> Markup:
    """Draw a column, with a text label for screen readers."""
    drawn = bars(column)
    label = escape(
        f"{column.name}: " + "; ".join(f"{b.name} {share(b.night)}, training {share(b.reference)}" for b in drawn)
    )
    body, height = _columns(column, drawn) if column.reference.kind == "numeric" else _rows(drawn)
    return Markup('<svg class="plot" viewBox="0 0 360 {}" role="img" aria-label="{}">{}</svg>').format(
        height, label, body
    )


def _columns(column: ColumnDrift, drawn: Sequence[Bar]) -> tuple[Markup, int]:
    """Draw vertical bars in order of the values, the missing bin at the right, with ticks at the bins' bounds."""
    top, floor, gap = 14.0, 132.0, 14.0
    has_missing = drawn[-1].name == MISSING
    width = (352.0 - (gap if has_missing else 0)) / len(drawn)
    highest = max(max(b.reference, b.night) for b in drawn)
    parts = [Markup('<line class="axis" x1="0" x2="360" y1="{0}" y2="{0}"/>').format(floor)]
    ticks: list[tuple[float, str]] = []
    for i, bar in enumerate(drawn):
        x = 4 + i * width + (gap if bar.name == MISSING else 0)
        parts.append(_bar(bar, x + width * 0.06, width * 0.88, floor, (floor - top) / highest))
        ticks.append((x + width / 2, bar.name))
    peak = max(drawn, key=lambda b: (b.moved, max(b.reference, b.night)))
    at = ticks[drawn.index(peak)][0]
    y = floor - (floor - top) * max(peak.reference, peak.night) / highest - 4
    parts.append(text(min(max(at, 16), 344), y, share(peak.night), "value"))
    parts += [text(x, floor + 15, name, "tick") for x, name in _axis_ticks(drawn, width, gap)]
    return Markup("").join(parts), 154


def _axis_ticks(drawn: Sequence[Bar], width: float, gap: float) -> list[tuple[float, str]]:
    """Return the labels: single values under their bars, bounds of intervals between bars."""
    ticks: list[tuple[float, str]] = []
    for i, bar in enumerate(drawn):
        x = 4 + i * width
        low = bar.name.split(" to ")[0]
        if bar.name == MISSING:
            ticks.append((x + gap + width / 2, "none" if width < 44 else MISSING))
        elif bar.name.startswith(("above ", "below ")):
            if bar.night > 0.02:  # a very small bar has no label
                ticks.append((x + width / 2, bar.name.replace("above ", ">").replace("below ", "<")))
        elif " to " in bar.name:
            if not ticks or ticks[-1][1] != low:  # the single value before it has that label
                ticks.append((x, low))
        else:
            ticks.append((x + width / 2, bar.name))
    return _thinned(ticks)


def _thinned(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Drop overlapping labels; the last one always stays, since it may be the missing bin."""
    kept: list[tuple[float, str]] = []
    limit = 360.0
    for x, name in reversed(ticks):
        half = 3.4 * len(name)
        centre = min(max(x, half), 360 - half)
        if centre + half <= limit:
            kept.append((centre, name))
            limit = centre - half - 10
    return kept


def _bar(bar: Bar, x: float, width: float, floor: float, scale: float) -> Markup:
    reference = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5"/>').format(
        "then gone" if bar.moved and bar.night < bar.reference else "then",
        x,
        floor - bar.reference * scale,
        width,
        bar.reference * scale,
    )
    night = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1"/>').format(
        "now moved" if bar.moved else "now",
        x + width * 0.28,
        floor - bar.night * scale,
        width * 0.44,
        bar.night * scale,
    )
    return reference + night


def _rows(drawn: Sequence[Bar]) -> tuple[Markup, int]:
    """Draw horizontal bars, one per category."""
    step, left, right = 20.0, 96.0, 44.0
    scale = (360 - left - right) / max(max(b.reference, b.night) for b in drawn)
    parts = []
    for i, bar in enumerate(drawn):
        y = 4 + i * step
        parts.append(text(left - 8, y + 11.5, _short(bar.name), "name"))
        parts.append(
            Markup('<rect class="{}" x="{}" y="{:.1f}" width="{:.1f}" height="15" rx="1.5"/>').format(
                "then gone" if bar.moved and bar.night < bar.reference else "then", left, y, bar.reference * scale
            )
        )
        parts.append(
            Markup('<rect class="{}" x="{}" y="{:.1f}" width="{:.1f}" height="6" rx="1"/>').format(
                "now moved" if bar.moved else "now", left, y + 4.5, bar.night * scale
            )
        )
        parts.append(text(left + max(bar.reference, bar.night) * scale + 6, y + 11.5, share(bar.night), "side"))
    return Markup("").join(parts), int(8 + len(drawn) * step)


def thumbnail(column: ColumnDrift) -> Markup:
    """Draw a column in the height of a table row; decorative, since the text is beside it."""
    drawn = bars(column)
    highest = max(max(b.reference, b.night) for b in drawn)
    width = 96 / max(len(drawn), 4)
    marks = [_bar(bar, i * width + 0.5, width - 1, 26, 24 / highest) for i, bar in enumerate(drawn)]
    return Markup('<svg class="thumb" viewBox="0 0 96 26" aria-hidden="true">{}</svg>').format(Markup("").join(marks))


def tally(drift: NightDrift) -> Markup:
    """Draw one square per monitored column, worst first, filled if it moved."""
    names = [(column.name, column.verdict == "drift") for column in drift.watched]
    across = max(6, math.ceil(math.sqrt(len(names) * 2)))
    squares = [
        Markup('<rect class="{}" x="{}" y="{}" width="9" height="9" rx="2"><title>{}</title></rect>').format(
            "on" if moved else "off", 12 * (i % across), 12 * (i // across), name
        )
        for i, (name, moved) in enumerate(names)
    ]
    label = f"{len(drift.drifted)} of {len(names)} squares are filled"
    return Markup('<svg class="tally" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        12 * min(across, len(names)) - 3, 12 * math.ceil(len(names) / across) - 3, label, Markup("").join(squares)
    )


def history_plot(history: Sequence[PastNight], share_now: float, threshold: float) -> Markup:
    """Draw the share of drifted columns of each night, this night last, with the tolerated share as a line."""
    shares = [*(night.drifted / night.watched if night.watched else 0.0 for night in history), share_now]
    highest = max(*shares, threshold) * 1.1
    width = min(16.0, 240 / len(shares))
    parts = [
        _night(
            "now moved" if value > threshold else "now", i * width + 1, width - 3, 46, max(1.5, 46 * value / highest)
        )
        for i, value in enumerate(shares)
    ]
    y = 46 - 46 * threshold / highest
    line = Markup('<line class="limit" x1="0" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(len(shares) * width, y, y)
    label = f"Share of columns that moved, the last {len(shares)} nights: " + ", ".join(share(v) for v in shares)
    return Markup('<svg class="history" viewBox="0 0 240 48" role="img" aria-label="{}">{}</svg>').format(
        label, line + Markup("").join(parts)
    )


def psi_plot(column: ColumnDrift, history: Sequence[PastNight], max_psi: float) -> Markup:
    """Draw a column's PSI of each night, this night last, with the limit as a line.

    Empty with fewer than two earlier nights.
    """
    values = [*(night.psi[column.name] for night in history if column.name in night.psi), column.psi]
    if len(values) < 3:
        return Markup("")
    highest, floor, step = max(*values, max_psi) * 1.05, 44.0, 360 / len(values)
    width = min(step - 3, 22.0)
    parts = [
        _night(
            "now moved" if value > max_psi else "then",
            360 - (len(values) - i) * (width + 3) + 1.5,
            width,
            floor,
            max(1.5, (floor - 4) * value / highest),
        )
        for i, value in enumerate(values)
    ]
    y, left = floor - (floor - 4) * max_psi / highest, 360 - len(values) * (width + 3)
    parts.append(Markup('<line class="limit" x1="{:.1f}" x2="360" y1="{:.1f}" y2="{:.1f}"/>').format(left, y, y))
    label = f"PSI of {column.name}, the last {len(values)} nights: " + ", ".join(f"{value:.2f}" for value in values)
    return Markup('<svg class="psis" viewBox="0 0 360 46" role="img" aria-label="{}">{}</svg>').format(
        label, Markup("").join(parts)
    )


def rows_plot(volume: Volume) -> Markup:
    """Draw a table's number of rows for each night, this night last, on an axis from 0.

    Empty with fewer than two earlier nights.
    """
    values = [*volume.earlier, volume.rows]
    if len(values) < 3:
        return Markup("")
    highest, step = max(*values, 1), min(10.0, 150 / len(values))
    parts = [
        _night("now" if i == len(values) - 1 else "then", i * step, step * 0.8, 30, max(1.0, 28 * value / highest))
        for i, value in enumerate(values)
    ]
    label = f"Rows of {volume.table}, the last {len(values)} nights: " + ", ".join(map(str, values))
    return Markup('<svg class="rows" viewBox="0 0 150 30" role="img" aria-label="{}">{}</svg>').format(
        label, Markup("").join(parts)
    )


def _night(kind: str, x: float, width: float, floor: float, height: float) -> Markup:
    """Draw one night's bar."""
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1"/>').format(
        kind, x, floor - height, width, height
    )


def shares_plot(shares: Mapping[str, float]) -> Markup:
    """Draw the columns with the largest shares of the classifier's gain as horizontal bars."""
    drawn = list(shares.items())[:MAX_SHARES]
    highest = max(share for _, share in drawn)
    parts = []
    for i, (name, value) in enumerate(drawn):
        y, length = 4 + i * 20.0, 170 * value / highest
        parts.append(text(142, y + 11.5, _short(name, 22), "name"))
        parts.append(
            Markup('<rect class="now" x="150" y="{:.1f}" width="{:.1f}" height="12" rx="1.5"/>').format(y + 1.5, length)
        )
        parts.append(text(156 + length, y + 11.5, share(value), "side"))
    label = "Share of the classifier's gain: " + "; ".join(f"{name} {share(value)}" for name, value in drawn)
    return Markup('<svg class="plot" viewBox="0 0 360 {}" role="img" aria-label="{}">{}</svg>').format(
        8 + len(drawn) * 20, label, Markup("").join(parts)
    )


def text(x: float, y: float, content: str, kind: str) -> Markup:
    """Draw a text; ``kind`` is its CSS class."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, content)


def _short(name: str, limit: int = 14) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "\u2026"
