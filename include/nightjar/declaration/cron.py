"""Cron expressions as Airflow reads them, checked when they are declared. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.declaration.declared import refuse

PRESETS: Mapping[str, str] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""Airflow's names for cron expressions."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?")
_FORM = "five fields, minute hour day month weekday, e.g. '0 2 * * *' for 02:00 every day, or one of"


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    words: Mapping[str, int] = field(default_factory=dict)

    def values(self, text: str) -> set[int]:
        """Return the numbers that ``text`` stands for; raise ValueError when it cannot be read."""
        return {value for part in text.split(",") for value in self._of_part(part)}

    def _of_part(self, part: str) -> range:
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not a valid {self.name}")
        low = self._number(match["low"]) if match["low"] else self.low
        last = match["high"] or (None if match["step"] else match["low"])
        high = self._number(last) if last else self.high
        step = int(match["step"] or 1)
        if not self.low <= low <= high <= self.high or not 1 <= step <= self.high:
            raise ValueError(f"{part!r} is not a valid {self.name} from {self.low} to {self.high}")
        return range(low, high + 1, step)

    def _number(self, word: str) -> int:
        if word.lower() in self.words:
            return self.words[word.lower()]
        if not (word.isascii() and word.isdigit()):
            raise ValueError(f"{word!r} is not a valid {self.name}")
        return int(word)


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    _Field("weekday", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


def check_cron(expression: str, *, where: str, at_most_daily: bool = False) -> None:
    """Check that ``expression`` is a valid cron expression with at least one due date.

    Args:
        expression: Five fields, or one of :data:`PRESETS`.
        where: Class and field.
        at_most_daily: Reject an expression that is due more than once a day.

    Raises:
        ConfigurationError: when Airflow could not read it, it is never due, or it is due too often.
    """
    try:
        minutes, hours, days, months, weekdays = _parse(expression)
    except ValueError as error:
        _refuse(f"{expression!r} is not a valid cron expression: {error}", where)
    every_weekday = weekdays >= set(range(7)) or weekdays >= set(range(1, 8))
    if every_weekday and min(days) > max(_DAYS_OF_MONTH[month - 1] for month in months):
        _refuse(f"{expression!r} is never due: its months have no such day", where)
    if at_most_daily and len(minutes) * len(hours) > 1:
        _refuse(f"{expression!r} is due {len(minutes) * len(hours)} times a day, and a day is one night", where)


def _parse(expression: str) -> list[set[int]]:
    """Return the numbers of each of the five fields."""
    parts = PRESETS.get(expression, expression).split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"it has {len(parts)} fields, not {len(_FIELDS)}")
    return [field.values(part) for field, part in zip(_FIELDS, parts, strict=True)]


def _refuse(what: str, where: str) -> None:
    refuse(what, where=where, fix=f"give {_FORM} {', '.join(PRESETS)}")
