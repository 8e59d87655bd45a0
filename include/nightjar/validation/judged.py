"""What is found of a night's figures, with what was expected, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from nightjar.declaration.rules import NightSeverity, Rule
from nightjar.declaration.use_case import Source
from nightjar.validation.figures import Figures
from nightjar.validation.usual import Usual

TABLE = ""
"""The column under which a table's own figures stand: rows landed, and as ``nulls`` those of them rejected."""
REJECTED = "rejected_share"
UNKNOWN_COLUMN = "unknown_column"
"""The figure of an undeclared column."""

NightFigures = Mapping[str, Figures]
"""Column to its figures on one night; :data:`TABLE` too."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One figure of one night, and what was expected of it.

    Attributes:
        table: Name of the table.
        column: Its column; empty for the table.
        night: The night.
        figure: What was looked at.
        rule: Name of the declared rule; empty for an undeclared anomaly.
        severity: What it brings about when it is not kept.
        kept: Whether it lies within bounds.
        observed: The figure.
        low: Least value expected; None for any.
        high: Greatest value expected; None for any.
        usual: What it usually is; None where the bounds are absolute.
        what: The finding in one sentence.
    """

    table: str
    column: str
    night: date
    figure: str
    rule: str
    severity: NightSeverity
    kept: bool
    observed: float
    low: float | None
    high: float | None
    usual: float | None
    what: str


def anomaly(source: Source, column: str, night: date, figure: str, observed: float, found: Usual) -> Judged:
    what = (
        f"{named(source, column)}: {words_for(figure)} {number(observed)}, "
        f"{expected(found.low, found.high, found.center)}"
    )
    return judged(source, column, night, figure, observed, found, what)


def judged(source: Source, column: str, night: date, figure: str, observed: float, found: Usual, what: str) -> Judged:
    return Judged(
        table=source.table.name,
        column=column,
        night=night,
        figure=figure,
        rule="",
        severity="warn",
        kept=False,
        observed=observed,
        low=found.low,
        high=found.high,
        usual=found.center,
        what=what,
    )


def unknown_column(source: Source, night: date, column: str) -> Judged:
    """The warning that a file held an undeclared column."""
    what = f"{named(source, column)}: undeclared column; it was not read"
    return judged(source, column, night, UNKNOWN_COLUMN, 1.0, Usual(0.0, 0.0, 0.0), what)


def broken_rows(source: Source, night: date, rule: Rule, rows: int) -> Judged:
    """The warning that rows broke a rule that only warns."""
    what = f"{source.table.name}: {rows} rows break {rule.name} ({rule.reason})"
    found = judged(source, TABLE, night, rule.name, float(rows), Usual(0.0, 0.0, 0.0), what)
    return replace(found, rule=rule.name)


def named(source: Source, column: str) -> str:
    return f"{source.table.name}.{column}" if column else source.table.name


def words_for(figure: str) -> str:
    said = {
        "null_share": "share without a value",
        REJECTED: "share rejected",
        "distinct": "distinct values",
        "std": "standard deviation",
        "newest_age_hours": "newest value",
        "distance": "distance",
    }
    return said.get(figure, figure)


def expected(low: float | None, high: float | None, center: float | None) -> str:
    usually = "" if center is None else f"; usually {number(center)}"
    if low is None or high is None:
        bound = f"at most {number(high)}" if high is not None else f"at least {number(low or 0.0)}"
        return f"expected {bound}{usually}"
    return f"expected {number(low)} to {number(high)}{usually}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
