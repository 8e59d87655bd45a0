"""Compare a night's columns with earlier nights, and its week with training, from stored profiles.

Rows are not read again: profiles of nights in the same bins add up to those of a week or a month.
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
"""Minimum number of nights for a comparison."""
MIN_WEEKDAYS = 2
"""Minimum number of nights of the same weekday."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Comparison of a column over several nights.

    Attributes:
        nights: Number of merged nights.
        psi: Population stability index above the usual one, at least 0.
    """

    nights: int
    psi: float


@dataclass(frozen=True, kw_only=True)
class ColumnWindows:
    """Comparisons of a night's column with earlier nights; each is None when too few are stored.

    Attributes:
        week: The week that ends with the night, against the training set.
        recent: The night against the most recent nights before it.
        weekday: The night against the same weekday of earlier weeks.
    """

    week: Window | None = None
    recent: Window | None = None
    weekday: Window | None = None


def window_nights(night: date, thresholds: Drift) -> list[date]:
    """Return the earlier nights that :func:`compare_windows` uses, oldest first."""
    return sorted(
        {*_last(night, WEEK_NIGHTS - 1), *_last(night, thresholds.recent_nights), *_weekdays(night, thresholds)}
    )


def compare_windows(
    night: date, profile: Profile, earlier: Mapping[date, Profile], reference: Profile, thresholds: Drift
) -> dict[str, ColumnWindows]:
    """Compare every column of a night with earlier nights, and of its week with the training set.

    Args:
        night: The night.
        profile: Profile of the night, in the reference's bins.
        earlier: Profiles of earlier nights; columns in other bins (of another model) are left out.
        reference: Profile of the training set.
        thresholds: Numbers of nights to compare with.
    """
    compared = {}
    for name, column in profile.columns.items():
        known = {
            day: replace(stored.columns[name], sketch=None)  # PSI does not need it, and merging is faster without
            for day, stored in earlier.items()
            if name in stored.columns and stored.columns[name].bins == column.bins
        }
        variation = reference.variation.get(name, NO_VARIATION)
        week = [*_select(known, _last(night, WEEK_NIGHTS - 1)), column]
        recent, weekdays = (
            _select(known, _last(night, thresholds.recent_nights)),
            _select(known, _weekdays(night, thresholds)),
        )
        compared[name] = ColumnWindows(
            week=_window(len(week), reference.columns[name], merge_profiles(week), variation)
            if len(week) >= MIN_NIGHTS
            else None,
            recent=_window(len(recent), merge_profiles(recent), column, variation)
            if len(recent) >= MIN_NIGHTS
            else None,
            weekday=_window(len(weekdays), merge_profiles(weekdays), column, variation)
            if len(weekdays) >= MIN_WEEKDAYS
            else None,
        )
    return compared


def merge_nights(nights: Mapping[date, Profile], reference: Profile) -> Profile:
    """Merge several nights, e.g. a month, into a profile that is comparable with the reference.

    Args:
        nights: Stored profiles; columns in other bins (of another model) are left out.
        reference: Profile of the training set.
    """
    columns = {}
    for name, known in reference.columns.items():
        stored = [profile.columns[name] for profile in nights.values() if name in profile.columns]
        # Two models may have the same bins (0 and 1) and different grids of the sketches.
        usable = [
            c if grid_in(c) == grid_in(known) else replace(c, sketch=None) for c in stored if c.bins == known.bins
        ]
        if usable:
            columns[name] = merge_profiles(usable)
    return Profile(rows=max((column.rows for column in columns.values()), default=0), columns=columns)


def merge_profiles(columns: Sequence[ColumnProfile]) -> ColumnProfile:
    """Merge one or more profiles of a column."""
    return reduce(merge_columns, columns)


def _window(nights: int, reference: ColumnProfile, night: ColumnProfile, variation: NightVariation) -> Window:
    return Window(nights=nights, psi=compare_column(reference, night, variation).psi)


def _select(known: Mapping[date, ColumnProfile], days: Iterable[date]) -> list[ColumnProfile]:
    return [known[day] for day in days if day in known and known[day].rows]


def _last(night: date, nights: int) -> list[date]:
    return [night - timedelta(days=days) for days in range(nights, 0, -1)]


def _weekdays(night: date, thresholds: Drift) -> list[date]:
    return [night - timedelta(weeks=weeks) for weeks in range(thresholds.same_weekday_weeks, 0, -1)]
