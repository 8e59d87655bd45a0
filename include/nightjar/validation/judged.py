"""Findings on a night's figures, with expected values and a description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from nightjar.declaration.data import Source
from nightjar.declaration.rules import NightSeverity, Rule
from nightjar.validation.expected_range import ExpectedRange
from nightjar.validation.figures import Figures

TABLE = ""
"""Key of the table's own figures: rows landed, with rejected rows as ``nulls``."""
REJECTED = "rejected_share"
UNKNOWN_COLUMN = "unknown_column"
"""Figure name of the finding about an undeclared column."""

NightFigures = Mapping[str, Figures]
"""Column name, or :data:`TABLE`, to its figures on one night."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A figure of one night, compared with its expected range.

    Attributes:
        table: Name of the table.
        column: Column; empty for the table.
        night: The night.
        figure: Name of the figure.
        rule: Name of the declared rule; empty for an undeclared anomaly.
        severity: Severity when it is broken.
        kept: Whether it lies within bounds.
        observed: Observed value.
        low: Lowest expected value; None for no bound.
        high: Highest expected value; None for no bound.
        usual: Usual value; None for absolute bounds.
        what: One-sentence description.
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


def anomaly(source: Source, column: str, night: date, figure: str, observed: float, limits: ExpectedRange) -> Judged:
    """Return the warning that a figure lies outside its expected range."""
    what = (
        f"{named(source, column)}: {words_for(figure)} {number(observed)}, "
        f"{expected(limits.low, limits.high, limits.center)}"
    )
    return judged(source, column, night, figure, observed, limits, what)


def judged(
    source: Source, column: str, night: date, figure: str, observed: float, limits: ExpectedRange, what: str
) -> Judged:
    """Return a warning without a declared rule, described by ``what``."""
    return Judged(
        table=source.table.name,
        column=column,
        night=night,
        figure=figure,
        rule="",
        severity="warn",
        kept=False,
        observed=observed,
        low=limits.low,
        high=limits.high,
        usual=limits.center,
        what=what,
    )


def unknown_column(source: Source, night: date, column: str) -> Judged:
    """Return the warning that a file has an undeclared column."""
    what = f"{named(source, column)}: undeclared column; it was not read"
    return judged(source, column, night, UNKNOWN_COLUMN, 1.0, ExpectedRange(0.0, 0.0, 0.0), what)


def broken_rows(source: Source, night: date, rule: Rule, rows: int) -> Judged:
    """Return the warning that rows broke a rule of severity ``warn``."""
    what = f"{source.table.name}: {rows} rows break {rule.name} ({rule.reason})"
    finding = judged(source, TABLE, night, rule.name, float(rows), ExpectedRange(0.0, 0.0, 0.0), what)
    return replace(finding, rule=rule.name)


def named(source: Source, column: str) -> str:
    """Return the full name of a column, or of the table when ``column`` is empty."""
    return f"{source.table.name}.{column}" if column else source.table.name


def words_for(figure: str) -> str:
    """Return the name of a figure for messages."""
    words = {
        "null_share": "share of nulls",
        REJECTED: "rejected share",
        "distinct": "distinct values",
        "std": "standard deviation",
        "newest_age_hours": "newest value",
        "distance": "distance",
    }
    return words.get(figure, figure)


def expected(low: float | None, high: float | None, center: float | None) -> str:
    """Return the expected range and the usual value as text."""
    usually = "" if center is None else f"; usually {number(center)}"
    if low is None or high is None:
        bound = f"at most {number(high)}" if high is not None else f"at least {number(low or 0.0)}"
        return f"expected {bound}{usually}"
    return f"expected {number(low)} to {number(high)}{usually}"


def number(value: float) -> str:
    """Return a number as text: whole from 1000 on, otherwise with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
