"""Sentences on when a column began to drift, from earlier nights' results and profiles. Plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from nightjar.monitoring.drift.comparison import ColumnDrift, NightDrift
from nightjar.monitoring.drift.domain import Domain
from nightjar.monitoring.drift.table import PastNight
from nightjar.monitoring.drift.windows import ColumnWindows
from nightjar.monitoring.reporting.formatting import psi

ALIKE = 0.1
"""PSI up to which two nights are alike (Siddiqi 2006)."""


def describe_onset(
    column: ColumnDrift, windows: ColumnWindows, history: Sequence[PastNight], night: date, max_psi: float
) -> list[str]:
    """Describe when a column's change began and whether earlier nights were alike: up to three sentences.

    Args:
        column: Column of the night.
        windows: The column against earlier nights.
        history: Results of earlier nights, oldest first.
        night: The night.
        max_psi: PSI above which a change is large.
    """
    seen = [earlier for earlier in history if column.name in earlier.psi]
    if column.psi <= max_psi:
        above = sum(earlier.psi[column.name] > max_psi for earlier in seen)
        return [f"PSI was above {max_psi:g} on {above} of the {len(seen)} nights before."] if above else []
    run = _run(column, seen, max_psi)
    sentences = [_how_long(run, seen, night) if run else _new(column, seen, night, max_psi)] if seen else []
    if windows.recent:
        nights = f"the {windows.recent.nights} nights before"
        if windows.recent.psi <= ALIKE:
            is_new = seen and all(earlier.psi[column.name] <= max_psi for earlier in seen)
            reason = "it was near the limit already" if is_new else "the change is not new"
            sentences.append(f"It looks like {nights}: {reason}.")
        else:
            sentences.append(f"It is unlike {nights} too (PSI {psi(windows.recent.psi)} against them).")
            if windows.weekday and windows.weekday.psi <= ALIKE:
                days = f"{windows.weekday.nights} {night:%A}s"
                sentences.append(f"It looks like the last {days}.")
    return sentences


def _run(column: ColumnDrift, seen: Sequence[PastNight], max_psi: float) -> list[date]:
    """Return the unbroken run of nights with a large change up to the last one, latest first."""
    run = []
    for earlier in reversed(seen):
        if earlier.psi[column.name] <= max_psi:
            break
        run.append(earlier.night)
    return run


def _how_long(run: Sequence[date], seen: Sequence[PastNight], night: date) -> str:
    """Describe how long the change has been large; nights without a comparison are not counted."""
    day = timedelta(days=1)
    first = "at least " if len(run) == len(seen) else ""
    nights = len(run) + 1
    how = f"{nights} nights in a row" if run[-1] == night - len(run) * day else f"all {nights} compared nights"
    return f"Since {first}{run[-1]:%-d %B}: {how}."


def _new(column: ColumnDrift, seen: Sequence[PastNight], night: date, max_psi: float) -> str:
    """Describe that the change was not large on the last compared night, and whether it had been earlier."""
    last, above = seen[-1].night, sum(earlier.psi[column.name] > max_psi for earlier in seen)
    when = "the night before" if last == night - timedelta(days=1) else f"{last:%-d %B}, the last compared night"
    if above:
        return f"Back tonight: PSI was below the limit on {when}, and above it on {above} of the {len(seen)} before."
    return f"New tonight: PSI was below the limit on {when}."


def week_summary(windows: Mapping[str, ColumnWindows], drift: NightDrift) -> str:
    """Count the monitored columns that moved over the whole week; empty when too few nights are stored."""
    psis = [column.week.psi for c in drift.watched if (column := windows[c.name]).week]
    if not psis:
        return ""
    moved = sum(value > drift.thresholds.max_psi for value in psis)
    return f"{moved} of {len(psis)}"


def week_nights(windows: Mapping[str, ColumnWindows]) -> int:
    """Return the number of stored nights of the week."""
    return max((column.week.nights for column in windows.values() if column.week), default=0)


def describe_domain(domain: Domain) -> str:
    """Describe the result of the domain classifier in one sentence."""
    how_often = "hardly" if domain.auc.value < 0.6 else "sometimes" if domain.auc.value < 0.75 else "mostly"
    if domain.auc.value >= 0.9:
        how_often = "nearly always"
    usual = domain.usual_auc
    if usual is None:
        return f"All columns together {how_often} separate a night\u2019s row from a training row."
    if domain.verdict == "drift":
        comparison = f"more often than for any tested night of training (AUC {usual:.2f})"
    else:
        comparison = f"not more often than for training\u2019s own nights (AUC up to {usual:.2f})"
    return f"All columns together {how_often} separate a row of this night from a training row, {comparison}."
