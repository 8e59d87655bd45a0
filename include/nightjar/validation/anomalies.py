"""Detect undeclared anomalies and warn with the expected range.

Covers volume, rejected rows, nulls, cardinality, mean, standard deviation, quantiles, categories, and a night that
repeats an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

import numpy as np

from nightjar.declaration.data import Source
from nightjar.validation.comparison import expected_range_of, mean_shares, of_column, total_variation, value_of
from nightjar.validation.expected_range import MIN_NIGHTS, ExpectedRange, expected_range
from nightjar.validation.figures import LISTED_CATEGORIES, Figures
from nightjar.validation.judged import REJECTED, TABLE, Judged, NightFigures, anomaly, judged, named

REPEATED, NEW_CATEGORY = "repeats", "new_category"
NOTICED_SHARE = 0.01
"""Minimum share of the rows for a warning about a new category."""
_NUMERIC = ("mean", "std", "p05", "p50", "p95")


def anomalies(
    source: Source, night: date, tonight: NightFigures, history: Mapping[date, NightFigures]
) -> Iterator[Judged]:
    """Yield the anomalies of a night; nothing with fewer than :data:`MIN_NIGHTS` nights of history."""
    if len(history) < MIN_NIGHTS:
        return
    yield from _unusual(source, TABLE, ("rows", REJECTED), night, tonight, history)
    for column, figures in tonight.items():
        if column == TABLE:
            continue
        monitored = ["null_share"]
        if column not in source.expected_to_vary:
            monitored += ["distinct", *(_NUMERIC if figures.mean is not None else ())]
        yield from _unusual(source, column, monitored, night, tonight, history)
        if column not in source.expected_to_vary and figures.categories:
            yield from _categories(source, column, night, figures, of_column(history, column))
    yield from _repeated(source, night, tonight, history)


def _unusual(
    source: Source,
    column: str,
    monitored: Iterable[str],
    night: date,
    tonight: NightFigures,
    history: Mapping[date, NightFigures],
) -> Iterator[Judged]:
    for figure in monitored:
        observed = value_of(tonight[column], figure)
        limits = None if observed is None else expected_range_of(figure, column, night, tonight, history)
        if observed is not None and limits is not None and not limits.low <= observed <= limits.high:
            yield anomaly(source, column, night, figure, observed, limits)


def _categories(
    source: Source, column: str, night: date, tonight: Figures, history: Mapping[date, Figures]
) -> Iterator[Judged]:
    """Yield shares far from the last nights' and new categories, for columns with all categories listed."""
    if any(figures.distinct > LISTED_CATEGORIES for figures in (tonight, *history.values())):
        return
    shares = mean_shares(history)
    distances = {day: total_variation(figures.categories, shares) for day, figures in history.items()}
    limits = expected_range(list(distances.values()), list(distances), night, noise=0.01)
    observed = total_variation(tonight.categories, shares)
    if limits is not None and observed > limits.high:
        yield anomaly(source, column, night, "distance", observed, ExpectedRange(limits.center, 0.0, limits.high))
    new = {name: share for name, share in tonight.categories.items() if name not in shares and share >= NOTICED_SHARE}
    if new:
        listed = ", ".join(repr(name) for name in list(new)[:5])
        observed = sum(new.values())
        what = f"{named(source, column)}: {listed} in {observed:.1%} of the rows, in none of the last nights"
        yield judged(source, column, night, NEW_CATEGORY, observed, ExpectedRange(0.0, 0.0, NOTICED_SHARE), what)


def _repeated(
    source: Source, night: date, tonight: NightFigures, history: Mapping[date, NightFigures]
) -> Iterator[Judged]:
    """Yield a finding when every varying numeric column has exactly the mean and deviation of one earlier night."""
    varying = [column for column, figures in tonight.items() if figures.std and _varies(of_column(history, column))]
    for day, earlier in reversed(list(history.items())):
        if varying and all(_same(tonight[column], earlier.get(column)) for column in varying):
            what = f"{source.table.name}: the night repeats that of {day} in {', '.join(varying)}"
            yield judged(source, TABLE, night, REPEATED, float(len(varying)), ExpectedRange(0.0, 0.0, 0.0), what)
            return


def _varies(history: Mapping[date, Figures]) -> bool:
    means = [figures.mean for figures in history.values() if figures.mean is not None]
    return len(means) >= MIN_NIGHTS and len(set(means)) > len(means) * 0.9


def _same(a: Figures, b: Figures | None) -> bool:
    if b is None or a.mean is None or b.mean is None or a.std is None or b.std is None:
        return False
    return (a.rows, a.nulls) == (b.rows, b.nulls) and bool(np.allclose([a.mean, a.std], [b.mean, b.std], rtol=1e-9))
