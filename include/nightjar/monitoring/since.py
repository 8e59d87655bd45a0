"""Since when a column differs, in words: from earlier nights' figures and profiles. Plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from nightjar.monitoring.domain import Domain
from nightjar.monitoring.drift import ColumnDrift, NightDrift
from nightjar.monitoring.records import PastNight
from nightjar.monitoring.windows import LookBack
from nightjar.monitoring.words import psi

ALIKE = 0.1
"""PSI below which two nights are much the same (Siddiqi 2006)."""


def since(
    column: ColumnDrift, before: LookBack, history: Sequence[PastNight], night: date, max_psi: float
) -> list[str]:
    """Up to three sentences on when a column's change began, and whether nights before looked like this one.

    Args:
        column: The night's column.
        before: It against the nights before.
        history: What was found on earlier nights, oldest first.
        night: The night.
        max_psi: PSI above which a change is large.
    """
    sentences = [*_run(column, history, max_psi)]
    if before.recent and column.psi > max_psi:
        nights = f"the {before.recent.nights} nights before"
        if before.recent.psi <= ALIKE:
            sentences.append(f"It looks like {nights}: the change is not new.")
        else:
            sentences.append(f"It is unlike {nights} too (PSI {psi(before.recent.psi)} against them).")
            if before.weekday and before.weekday.psi <= ALIKE:
                days = f"{before.weekday.nights} {night:%A}s"
                sentences.append(f"It looks like the last {days}.")
    return sentences


def _run(column: ColumnDrift, history: Sequence[PastNight], max_psi: float) -> list[str]:
    """The nights in a row, up to this one, on which the change was large; or how many were, when this one is not."""
    seen = [night for night in history if column.name in night.psi]
    if not seen:
        return []
    if column.psi <= max_psi:
        above = sum(night.psi[column.name] > max_psi for night in seen)
        return [f"PSI was above {max_psi:g} on {above} of the {len(seen)} nights before."] if above else []
    run = []
    for night in reversed(seen):
        if night.psi[column.name] <= max_psi:
            break
        run.append(night.night)
    if not run:
        return ["New tonight: PSI was below the limit on the night before."]
    first = "at least " if len(run) == len(seen) else ""
    return [f"Since {first}{run[-1]:%-d %B}: {len(run) + 1} nights in a row."]


def week(before: Mapping[str, LookBack], drift: NightDrift) -> str:
    """How many watched columns the week moved in, taken together; empty when too few nights are known."""
    psis = [found.week.psi for c in drift.watched if (found := before[c.name]).week]
    if not psis:
        return ""
    moved = sum(value > drift.thresholds.max_psi for value in psis)
    return f"{moved} of {len(psis)}"


def week_nights(before: Mapping[str, LookBack]) -> int:
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
