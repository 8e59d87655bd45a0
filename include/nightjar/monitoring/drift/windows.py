"""Since when: a night's columns against the nights before it, and its week against training, from stored profiles.

No row is read again: profiles of nights in the same bins add up to those of a week or a month.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import reduce

from nightjar.declaration.monitoring import Drift
from nightjar.monitoring.drift.comparison import NO_VARIATION, compare_column
from nightjar.monitoring.profiles.profile import ColumnProfile, NightVariation, Profile, merge_columns
from nightjar.monitoring.profiles.summarize import grid_in

WEEK_NIGHTS = 7
MIN_NIGHTS = 3
"""Fewer nights are no habit, and no week."""
MIN_WEEKDAYS = 2


@dataclass(frozen=True, kw_only=True)
class Window:
    """A column over several nights.

    Attributes:
        nights: How many were merged.
        psi: Population stability index, less what chance and the training set's own nights account for, at least 0.
    """

    nights: int
    psi: float


@dataclass(frozen=True, kw_only=True)
class ColumnWindows:
    """A column of a night in the light of the nights before; None where too few of them are known.

    Attributes:
        week: The week that ends with the night, against the training set.
        recent: The night against the nights before it.
        weekday: The night against the same weekday of the weeks before.
    """

    week: Window | None = None
    recent: Window | None = None
    weekday: Window | None = None


def window_nights(night: date, thresholds: Drift) -> list[date]:
    """The nights whose profiles :func:`compare_windows` uses, oldest first."""
    return sorted(
        {*_last(night, WEEK_NIGHTS - 1), *_last(night, thresholds.recent_nights), *_weekdays(night, thresholds)}
    )


def compare_windows(
    night: date, found: Profile, earlier: Mapping[date, Profile], reference: Profile, thresholds: Drift
) -> dict[str, ColumnWindows]:
    """Every column of a night, and of its week, against what was before.

    Args:
        night: The night.
        found: Its profile, in the reference's bins.
        earlier: Profiles of nights before it; columns in other bins (another model's) are left out.
        reference: The training set's profile.
        thresholds: Says how far to look back.
    """
    looked = {}
    for name, column in found.columns.items():
        known = {
            day: replace(profile.columns[name], sketch=None)  # PSI needs none, and counts alone add up quickly
            for day, profile in earlier.items()
            if name in profile.columns and profile.columns[name].bins == column.bins
        }
        varies = reference.variation.get(name, NO_VARIATION)
        week = [*_of(known, _last(night, WEEK_NIGHTS - 1)), column]
        recent, weekdays = _of(known, _last(night, thresholds.recent_nights)), _of(known, _weekdays(night, thresholds))
        looked[name] = ColumnWindows(
            week=_window(len(week), reference.columns[name], merged(week), varies) if len(week) >= MIN_NIGHTS else None,
            recent=_window(len(recent), merged(recent), column, varies) if len(recent) >= MIN_NIGHTS else None,
            weekday=_window(len(weekdays), merged(weekdays), column, varies) if len(weekdays) >= MIN_WEEKDAYS else None,
        )
    return looked


def period(nights: Mapping[date, Profile], reference: Profile) -> Profile:
    """Several nights together, e.g. a month, to be compared with the reference like a single night.

    Args:
        nights: Their profiles, as stored; columns in other bins (another model's) are left out.
        reference: The training set's profile.
    """
    columns = {}
    for name, known in reference.columns.items():
        found = [profile.columns[name] for profile in nights.values() if name in profile.columns]
        # Bins may be the same in two models (0 and 1), and the sketches' grids not.
        alike = [c if grid_in(c) == grid_in(known) else replace(c, sketch=None) for c in found if c.bins == known.bins]
        if alike:
            columns[name] = merged(alike)
    return Profile(rows=max((column.rows for column in columns.values()), default=0), columns=columns)


def merged(columns: Sequence[ColumnProfile]) -> ColumnProfile:
    """One column's profile over several nights; at least one."""
    return reduce(merge_columns, columns)


def _window(nights: int, then: ColumnProfile, now: ColumnProfile, varies: NightVariation) -> Window:
    return Window(nights=nights, psi=compare_column(then, now, varies).psi)


def _of(known: Mapping[date, ColumnProfile], days: Iterable[date]) -> list[ColumnProfile]:
    return [known[day] for day in days if day in known and known[day].rows]


def _last(night: date, nights: int) -> list[date]:
    return [night - timedelta(days=days) for days in range(nights, 0, -1)]


def _weekdays(night: date, thresholds: Drift) -> list[date]:
    return [night - timedelta(weeks=weeks) for weeks in range(thresholds.same_weekday_weeks, 0, -1)]
