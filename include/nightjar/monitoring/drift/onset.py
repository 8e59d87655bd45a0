"""Since when a column differs, in words: from earlier nights' figures and profiles. Plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from nightjar.monitoring.drift.comparison import ColumnDrift, NightDrift
from nightjar.monitoring.drift.domain import Domain
from nightjar.monitoring.drift.table import PastNight
from nightjar.monitoring.drift.windows import ColumnWindows
from nightjar.monitoring.reporting.formatting import psi

ALIKE = 0.1
"""PSI below which two nights are much the same (Siddiqi 2006)."""


def since(
    column: ColumnDrift, before: ColumnWindows, history: Sequence[PastNight], night: date, max_psi: float
) -> list[str]:
    """Up to three sentences on when a column's change began, and whether nights before looked like this one.

    Args:
        column: The night's column.
        before: It against the nights before.
        history: What was found on earlier nights, oldest first.
        night: The night.
        max_psi: PSI above which a change is large.
    """
    seen = [earlier for earlier in history if column.name in earlier.psi]
    if column.psi <= max_psi:
        above = sum(earlier.psi[column.name] > max_psi for earlier in seen)
        return [f"PSI was above {max_psi:g} on {above} of the {len(seen)} nights before."] if above else []
    run = _run(column, seen, max_psi)
    sentences = [_how_long(run, seen, night) if run else _new(column, seen, night, max_psi)] if seen else []
    if before.recent:
        nights = f"the {before.recent.nights} nights before"
        if before.recent.psi <= ALIKE:
            is_new = seen and all(earlier.psi[column.name] <= max_psi for earlier in seen)
            told = "it was near the limit already" if is_new else "the change is not new"
            sentences.append(f"It looks like {nights}: {told}.")
        else:
            sentences.append(f"It is unlike {nights} too (PSI {psi(before.recent.psi)} against them).")
            if before.weekday and before.weekday.psi <= ALIKE:
                days = f"{before.weekday.nights} {night:%A}s"
                sentences.append(f"It looks like the last {days}.")
    return sentences


def _run(column: ColumnDrift, seen: Sequence[PastNight], max_psi: float) -> list[date]:
    """The nights up to the last one on which the change was large on each, the last first."""
    run = []
    for earlier in reversed(seen):
        if earlier.psi[column.name] <= max_psi:
            break
        run.append(earlier.night)
    return run


def _how_long(run: Sequence[date], seen: Sequence[PastNight], night: date) -> str:
    """How long the change has been large; a night that nobody looked at is not said to have been."""
    day = timedelta(days=1)
    first = "at least " if len(run) == len(seen) else ""
    nights = len(run) + 1
    how = f"{nights} nights in a row" if run[-1] == night - len(run) * day else f"all {nights} nights looked at"
    return f"Since {first}{run[-1]:%-d %B}: {how}."


def _new(column: ColumnDrift, seen: Sequence[PastNight], night: date, max_psi: float) -> str:
    """That the change was not large on the last night looked at, and whether it had been before."""
    last, above = seen[-1].night, sum(earlier.psi[column.name] > max_psi for earlier in seen)
    when = (
        "the night before" if last == night - timedelta(days=1) else f"{last:%-d %B}, the last night looked at before"
    )
    if above:
        return f"Back tonight: PSI was below the limit on {when}, and above it on {above} of the {len(seen)} before."
    return f"New tonight: PSI was below the limit on {when}."


def week(before: Mapping[str, ColumnWindows], drift: NightDrift) -> str:
    """How many watched columns the week moved in, taken together; empty when too few nights are known."""
    psis = [found.week.psi for c in drift.watched if (found := before[c.name]).week]
    if not psis:
        return ""
    moved = sum(value > drift.thresholds.max_psi for value in psis)
    return f"{moved} of {len(psis)}"


def week_nights(before: Mapping[str, ColumnWindows]) -> int:
    """Nights of the week that are known."""
    return max((found.week.nights for found in before.values() if found.week), default=0)


def told_apart(domain: Domain) -> str:
    """What the domain classifier found, in a sentence."""
    can = "hardly" if domain.auc.value < 0.6 else "sometimes" if domain.auc.value < 0.75 else "mostly"
    if domain.auc.value >= 0.9:
        can = "nearly always"
    usual = domain.usual_auc
    if usual is None:
        return f"A night\u2019s row is {can} told from a training row by all columns together."
    if domain.verdict == "drift":
        than = f"more often than those of any of training\u2019s own nights that were tried (AUC {usual:.2f})"
    else:
        than = f"which is no more than for training\u2019s own nights (AUC up to {usual:.2f})"
    return f"A row of this night is {can} told from a training row by all columns together, {than}."
