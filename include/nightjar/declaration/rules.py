"""Data rules, declared once: of rows (one SQL predicate each) and of whole nights (one figure each).

Spark evaluates a predicate for the quarantine, and Great Expectations judges what Spark counted; nothing states a rule
a second time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nightjar.declaration.declared import Declaration, Name, Text, refuse

Severity = Literal["reject_row", "stop_night", "warn"]
NightSeverity = Literal["stop_night", "warn"]
NightFigure = Literal[
    "rows", "null_share", "distinct", "mean", "std", "p05", "p25", "p50", "p75", "p95", "newest_age_hours", "distance"
]
"""A figure of a night's column: see :mod:`nightjar.validation.figures`. ``newest_age_hours`` is how long before the
prediction moment its newest value lies; ``distance`` how far its values lie from those of the last nights."""


@dataclass(frozen=True, kw_only=True)
class Rule(Declaration):
    """A rule that every row of a table keeps.

    Attributes:
        name: Identifier, unique within its table.
        broken_when: Spark SQL predicate, true for a row that breaks the rule (null counts as kept).
        reason: What it means, for the person who reads the quarantine.
        severity: ``reject_row`` sends the row to quarantine, ``stop_night`` fails the task at the first broken row,
            ``warn`` is reported only.
    """

    name: Name
    broken_when: str
    reason: Text
    severity: Severity = "reject_row"


@dataclass(frozen=True, kw_only=True)
class NightRule(Declaration):
    """A rule that a table keeps on every night as a whole: one figure, within bounds.

    Attributes:
        name: Identifier, unique within its table.
        figure: What is looked at.
        column: Of which column; empty for the table (``rows``).
        low: Least value that keeps the rule; None for none.
        high: Greatest value that keeps it; None for none.
        of_usual: Bounds are multiples of what the last nights had (the same weekday's, where weekdays differ). Such a
            rule, and one of ``distance``, is not judged before there are enough nights, which is said in the log.
        unit: Of the figure, for people.
        reason: What it means when the rule is broken.
        severity: ``stop_night`` publishes nothing of the night, ``warn`` is reported.
    """

    name: Name
    figure: NightFigure
    column: str = ""
    low: float | None = None
    high: float | None = None
    of_usual: bool = False
    unit: str = ""
    reason: Text
    severity: NightSeverity = "warn"

    def check(self) -> None:
        """Refuse bounds that no night breaks or keeps, and a figure without its column."""
        where = f"rule {self.name}, NightRule"
        if self.low is None and self.high is None:
            refuse("there is neither a low nor a high bound", where=where, fix="give low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            refuse(f"low {self.low:g} is above high {self.high:g}", where=where, fix="give low at most as high as high")
        if (self.figure == "rows") == bool(self.column):
            refuse(
                f"figure is {self.figure!r}, and column {self.column!r}",
                where=f"{where}.column",
                fix="leave column out for 'rows', which is a figure of the table, and name one for every other figure",
            )


def not_null(column: str) -> Rule:
    """The rule that ``column`` has a value."""
    return Rule(name=f"{column}_not_null", broken_when=f"{column} IS NULL", reason=f"{column} has no value")


def between(column: str, low: float, high: float, *, unit: str, severity: Severity = "reject_row") -> Rule:
    """The rule that ``column``, where it has a value, lies in [``low``, ``high``] (in ``unit``)."""
    return Rule(
        name=f"{column}_between",
        broken_when=f"{column} NOT BETWEEN {low} AND {high}",
        reason=f"{column} is outside {low:g} to {high:g} {unit}",
        severity=severity,
    )


def one_of(column: str, values: tuple[str, ...], *, severity: Severity = "reject_row") -> Rule:
    """The rule that ``column``, where it has a value, is one of ``values``."""
    listed = ", ".join(_quoted(value) for value in values)
    return Rule(
        name=f"{column}_one_of",
        broken_when=f"{column} NOT IN ({listed})",
        reason=f"{column} is none of {', '.join(values)}",
        severity=severity,
    )


def matches(column: str, pattern: str, *, like: str, severity: Severity = "reject_row") -> Rule:
    """The rule that ``column``, where it has a value, matches the whole regular expression ``pattern``.

    Spark evaluates it with Java's ``Pattern``; what Python's ``re`` does not read as well is refused, so that a typo
    is found where it is declared. The anchors are those of the whole text: ``$`` would also match before a line break
    at its end.

    Args:
        column: A text column.
        pattern: What the whole value matches.
        like: What such a value looks like, for people.
        severity: What a row that does not match brings about.

    Raises:
        ConfigurationError: for a pattern that is no regular expression of both.
    """
    where, fix = f"rule {column}_matches, matches.pattern", "give a regular expression of Java, e.g. [0-9A-Z]{2}"
    if of_python := re.search(r"\(\?(?:P|\()", pattern):
        refuse(f"{of_python[0]} in {pattern!r} is known to Python alone", where=where, fix=fix)
    try:
        re.compile(pattern)
    except re.error as error:
        refuse(f"{pattern!r} is not a valid regular expression: {error}", where=where, fix=fix)
    whole = rf"\A(?:{pattern})\z"
    return Rule(
        name=f"{column}_matches",
        broken_when=f"NOT regexp_like({column}, {_quoted(whole)})",
        reason=f"{column} is not {like}",
        severity=severity,
    )


def volume(low: float, high: float, *, severity: NightSeverity = "stop_night") -> NightRule:
    """The rule that a night has between ``low`` and ``high`` times the usual number of rows."""
    return NightRule(
        name="volume",
        figure="rows",
        low=low,
        high=high,
        of_usual=True,
        unit="rows",
        reason="the night is cut short, doubled, or not the one that it claims to be",
        severity=severity,
    )


def fresh(column: str, max_age_hours: float, *, severity: NightSeverity = "warn") -> NightRule:
    """The rule that the newest value of the timestamp ``column`` is at most so many hours before the night's end."""
    return NightRule(
        name=f"{column}_fresh",
        figure="newest_age_hours",
        column=column,
        high=max_age_hours,
        unit="hours before the night's end",
        reason=f"the newest {column} is too old: the end of the day is missing",
        severity=severity,
    )


def nulls_at_most(column: str, share: float, *, severity: NightSeverity = "warn") -> NightRule:
    """The rule that at most ``share`` of the rows have no ``column``."""
    return NightRule(
        name=f"{column}_nulls",
        figure="null_share",
        column=column,
        high=share,
        unit="of the rows",
        reason=f"{column} is missing in too many rows",
        severity=severity,
    )


def like_usual(column: str, max_distance: float, *, severity: NightSeverity = "warn") -> NightRule:
    """The rule that the values of ``column`` are distributed much as on the last nights.

    Args:
        column: Numeric: the distance is the greatest shift of a quantile (5, 25, 50, 75, 95 %), in standard deviations.
            Text: the total variation distance of the categories' shares, 0 to 1.
        max_distance: Greatest distance that keeps the rule.
        severity: What a night that is further away brings about.
    """
    return NightRule(
        name=f"{column}_like_usual",
        figure="distance",
        column=column,
        high=max_distance,
        unit="from the last nights",
        reason=f"the values of {column} are not distributed as they were",
        severity=severity,
    )


def _quoted(text: str) -> str:
    """``text`` as a SQL string literal; a backslash is an escape in Spark's."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
