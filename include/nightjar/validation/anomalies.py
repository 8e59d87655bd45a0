"""Undeclared anomalies, as warnings with the range that was expected.

Volume, rejected rows, missing values, cardinality, mean, spread, quantiles, categories, and a night that repeats an
earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

import numpy as np

from nightjar.declaration.use_case import Source
from nightjar.validation.comparison import mean_shares, of_column, total_variation, usual_of, value_of
from nightjar.validation.figures import LISTED_CATEGORIES, Figures
from nightjar.validation.judged import REJECTED, TABLE, Judged, NightFigures, anomaly, judged, named
from nightjar.validation.usual import MIN_NIGHTS, Usual, usual

REPEATED, NEW_CATEGORY = "repeats", "new_category"
NOTICED_SHARE = 0.01
"""A category that the last nights did not have is noticed from this share of the rows on."""
_NUMERIC = ("mean", "std", "p05", "p50", "p95")


def anomalies(
    source: Source, night: date, tonight: NightFigures, history: Mapping[date, NightFigures]
) -> Iterator[Judged]:
    if len(history) < MIN_NIGHTS:
        return
    yield from _unusual(source, TABLE, ("rows", REJECTED), night, tonight, history)
    for column, figures in tonight.items():
        if column == TABLE:
            continue
        watched = ["null_share"]
        if column not in source.expected_to_vary:
            watched += ["distinct", *(_NUMERIC if figures.mean is not None else ())]
        yield from _unusual(source, column, watched, night, tonight, history)
        if column not in source.expected_to_vary and figures.categories:
            yield from _categories(source, column, night, figures, of_column(history, column))
    yield from _repeated(source, night, tonight, history)


def _unusual(
    source: Source,
    column: str,
    watched: Iterable[str],
    night: date,
    tonight: NightFigures,
    history: Mapping[date, NightFigures],
) -> Iterator[Judged]:
    for figure in watched:
        observed = value_of(tonight[column], figure)
        found = None if observed is None else usual_of(figure, column, night, tonight, history)
        if observed is not None and found is not None and not found.low <= observed <= found.high:
            yield anomaly(source, column, night, figure, observed, found)


def _categories(
    source: Source, column: str, night: date, tonight: Figures, history: Mapping[date, Figures]
) -> Iterator[Judged]:
    """Shares far from the last nights', and categories that those did not have; where every category is listed."""
    if any(one.distinct > LISTED_CATEGORIES for one in (tonight, *history.values())):
        return
    shares = mean_shares(history)
    distances = {day: total_variation(one.categories, shares) for day, one in history.items()}
    found = usual(list(distances.values()), list(distances), night, noise=0.01)
    observed = total_variation(tonight.categories, shares)
    if found is not None and observed > found.high:
        yield anomaly(source, column, night, "distance", observed, Usual(found.center, 0.0, found.high))
    new = {name: share for name, share in tonight.categories.items() if name not in shares and share >= NOTICED_SHARE}
    if new:
        listed = ", ".join(repr(name) for name in list(new)[:5])
        observed = sum(new.values())
        what = f"{named(source, column)}: {listed} in {observed:.1%} of the rows, in none of the last nights"
        yield judged(source, column, night, NEW_CATEGORY, observed, Usual(0.0, 0.0, NOTICED_SHARE), what)


def _repeated(
    source: Source, night: date, tonight: NightFigures, history: Mapping[date, NightFigures]
) -> Iterator[Judged]:
    """Whether every numeric column that differs from night to night has the very moments of one earlier night."""
    moving = [column for column, one in tonight.items() if one.std and _moves(of_column(history, column))]
    for day, figures in reversed(list(history.items())):
        if moving and all(_same(tonight[column], figures.get(column)) for column in moving):
            what = f"{source.table.name}: the night repeats that of {day} in {', '.join(moving)}"
            yield judged(source, TABLE, night, REPEATED, float(len(moving)), Usual(0.0, 0.0, 0.0), what)
            return


def _moves(history: Mapping[date, Figures]) -> bool:
    means = [one.mean for one in history.values() if one.mean is not None]
    return len(means) >= MIN_NIGHTS and len(set(means)) > len(means) * 0.9


def _same(a: Figures, b: Figures | None) -> bool:
    if b is None or a.mean is None or b.mean is None or a.std is None or b.std is None:
        return False
    return (a.rows, a.nulls) == (b.rows, b.nulls) and bool(np.allclose([a.mean, a.std], [b.mean, b.std], rtol=1e-9))
