"""Data rules, declared once: row rules (one SQL predicate each) and night rules (one figure each).

Spark evaluates the predicates for the quarantine; Great Expectations judges the counts that Spark reports. No rule is
stated twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from nightjar.declaration.declared import Declaration, Name, Text, check_choice, check_unique, refuse
from nightjar.declaration.predicates import columns_read

Severity = Literal["reject_row", "stop_night", "warn"]
NightSeverity = Literal["stop_night", "warn"]
NightFigure = Literal[
    "rows", "null_share", "distinct", "mean", "std", "p05", "p25", "p50", "p75", "p95", "newest_age_hours", "distance"
]
"""A figure of one night's column: see :mod:`nightjar.validation.figures`. ``newest_age_hours`` is the time from the
column's newest value to the prediction moment; ``distance`` is the distance of its distribution from the last
nights'."""


@dataclass(frozen=True, kw_only=True)
class Rule(Declaration):
    """A rule for every row of a table.

    Attributes:
        name: Identifier, unique within its table.
        broken_when: Spark SQL predicate, true for a row that breaks the rule. A null predicate passes.
        reason: Explanation for the reader of the quarantine.
        severity: ``reject_row`` sends the row to quarantine, ``stop_night`` fails the task if at least one row
            breaks the rule, ``warn`` only reports it.
    """

    name: Name
    broken_when: str
    reason: Text
    severity: Severity = "reject_row"


@dataclass(frozen=True, kw_only=True)
class NightRule(Declaration):
    """A rule for one night of a table as a whole: one figure within bounds.

    Attributes:
        name: Identifier, unique within its table.
        figure: The figure that is checked.
        column: Column of the figure; empty for a figure of the table (``rows``).
        low: Lowest allowed value; None for no lower bound.
        high: Highest allowed value; None for no upper bound.
        relative_to_recent_nights: Whether the bounds are multiples of what is usual on recent nights (on the same
            weekday, if the figure varies by weekday). Such a rule, and one on ``distance``, is skipped until there are
            enough nights; the log says so.
        unit: Unit of the figure, for messages.
        reason: Explanation of a broken rule.
        severity: ``stop_night`` keeps the night from being published, ``warn`` only reports it.
    """

    name: Name
    figure: NightFigure
    column: str = ""
    low: float | None = None
    high: float | None = None
    relative_to_recent_nights: bool = False
    unit: str = ""
    reason: Text
    severity: NightSeverity = "warn"

    def check(self) -> None:
        """Check that bounds are given and ordered, and that a column figure names its column."""
        where = f"rule {self.name}, NightRule"
        if self.low is None and self.high is None:
            refuse("neither a low nor a high bound is given", where=where, fix="give low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            refuse(f"low {self.low:g} is above high {self.high:g}", where=where, fix="give low at most as high as high")
        if (self.figure == "rows") == bool(self.column):
            refuse(
                f"figure is {self.figure!r}, and column {self.column!r}",
                where=f"{where}.column",
                fix="leave column out for 'rows', which is a figure of the table, and name one for every other figure",
            )


def not_null(column: str) -> Rule:
    """Return the rule that ``column`` is not null."""
    return Rule(name=f"{column}_not_null", broken_when=f"{column} IS NULL", reason=f"{column} has no value")


def between(column: str, low: float, high: float, *, unit: str, severity: Severity = "reject_row") -> Rule:
    """Return the rule that ``column`` is null or within [``low``, ``high``] (in ``unit``)."""
    return Rule(
        name=f"{column}_between",
        broken_when=f"{column} NOT BETWEEN {low} AND {high}",
        reason=f"{column} is outside {low:g} to {high:g} {unit}",
        severity=severity,
    )


def one_of(column: str, values: tuple[str, ...], *, severity: Severity = "reject_row") -> Rule:
    """Return the rule that ``column`` is null or one of ``values``."""
    listed = ", ".join(_quoted(value) for value in values)
    return Rule(
        name=f"{column}_one_of",
        broken_when=f"{column} NOT IN ({listed})",
        reason=f"{column} is none of {', '.join(values)}",
        severity=severity,
    )


def matches(column: str, pattern: str, *, like: str, severity: Severity = "reject_row") -> Rule:
    r"""Return the rule that ``column`` is null or fully matches the regular expression ``pattern``.

    Spark evaluates the pattern with Java's ``Pattern``. A pattern that Python's ``re`` cannot read is rejected as well,
    so that a typo fails at the declaration. Anchors are absolute (``\A``, ``\z``), as ``$`` would also match before a
    trailing line break.

    Args:
        column: A text column.
        pattern: Regular expression of the whole value.
        like: Example or description of a valid value, for messages.
        severity: Severity of the rule.

    Raises:
        ConfigurationError: for a pattern that Java or Python cannot read.
    """
    where, fix = f"rule {column}_matches, matches.pattern", "give a regular expression of Java, e.g. [0-9A-Z]{2}"
    if python_only := re.search(r"\(\?(?:P|\()", pattern):
        refuse(f"{python_only[0]} in {pattern!r} is known to Python alone", where=where, fix=fix)
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
    """Return the rule that a night has between ``low`` and ``high`` times the usual number of rows."""
    return NightRule(
        name="volume",
        figure="rows",
        low=low,
        high=high,
        relative_to_recent_nights=True,
        unit="rows",
        reason="the night is truncated, duplicated, or another night's data",
        severity=severity,
    )


def fresh(column: str, max_age_hours: float, *, severity: NightSeverity = "warn") -> NightRule:
    """Return the rule that the newest ``column`` (timestamp) is at most ``max_age_hours`` before the night's end."""
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
    """Return the rule that ``column`` is null in at most ``share`` of the rows."""
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
    """Return the rule that ``column`` is distributed like on the last nights.

    Args:
        column: Numeric column: the distance is the largest shift of a quantile (5, 25, 50, 75, 95 %), in standard
            deviations. Text column: the total variation distance of the category shares, 0 to 1.
        max_distance: Largest allowed distance.
        severity: Severity of the rule.
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


def check_rules(rules: Iterable[Rule], columns: Collection[str], *, where: str) -> None:
    """Check that rule names are unique and that each predicate reads existing columns.

    Raises:
        ConfigurationError: naming the rule and the columns that it may read.
    """
    listed = tuple(rules)
    check_unique((rule.name for rule in listed), kind="rule", where=where)
    for rule in listed:
        rule_place = f"{where}, rule {rule.name}"
        try:
            read = columns_read(rule.broken_when)
        except ValueError as error:
            refuse(
                f"the predicate {rule.broken_when!r} cannot be read: {error}",
                where=rule_place,
                fix="give a Spark SQL predicate, e.g. 'amount < 0'",
            )
        for name in sorted(read):
            check_choice(name, columns, kind="column", where=rule_place)


def _quoted(text: str) -> str:
    """Return ``text`` as a SQL string literal; Spark treats a backslash as an escape."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
