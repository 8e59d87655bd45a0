"""Aggregates of trailing windows, built from states that add up: those of days give those of any window.

Sums are exact, so the order of Spark's additions never shows: whole numbers and booleans add as integers, other numbers
as decimals, rounded to ``decimals`` places first. Such a number has at most 18 digits; Spark raises an error for more,
and for an infinity. Null and NaN are not counted as values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DoubleType, FloatType, IntegralType

from nightjar.protocol.errors import ConfigurationError

Kind = Literal["rows", "values", "sum", "squares", "min", "max"]
DECIMALS = 6
"""Decimal places of sums of other numbers than integers, unless an aggregate says otherwise."""
MAX_DECIMALS = 12
_DIGITS = 18
"""Digits of a decimal number that Spark keeps in 64 bits."""


@dataclass(frozen=True)
class State:
    """A mergeable state of a column's values: of one day first, of a window when merged.

    Attributes:
        kind: Number of rows or of values, sum, sum of squares, least or greatest value.
        column: The column; empty for rows.
        decimals: Decimal places of sums.
    """

    kind: Kind
    column: str = ""
    decimals: int = DECIMALS

    @property
    def name(self) -> str:
        """Name of the state's column in a tile."""
        return f"_{self.kind}_{self.column}_{self.decimals}"

    def of_rows(self, kind: DataType | None) -> Column:
        """Return the state of a group of rows.

        Args:
            kind: Type of the column; None for rows.
        """
        if kind is None:
            return F.count("*")
        value = F.col(self.column)
        if isinstance(kind, (FloatType, DoubleType)):
            value = F.when(~F.isnan(value), value)
        is_whole = isinstance(kind, (BooleanType, IntegralType))
        exact = value.cast(f"decimal({_DIGITS},{0 if is_whole else self.decimals})")
        states = {
            "values": lambda: F.count(value),
            "sum": lambda: F.sum(value.cast("long") if is_whole else exact),
            "squares": lambda: F.sum(exact * exact),
            "min": lambda: F.min(value),
            "max": lambda: F.max(value),
        }
        return states[self.kind]()

    def merged(self, states: Column) -> Column:
        """Return the state of several groups together."""
        merge = {"min": F.min, "max": F.max}.get(self.kind, F.sum)
        return merge(states)


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A figure of a window.

    Attributes:
        states: States that it is computed from.
        value: Computes it from the columns of the merged states, in that order.
        is_zero_of_nothing: Whether it is 0 for a window without rows; otherwise it is null.
    """

    states: tuple[State, ...]
    value: Callable[..., Column]
    is_zero_of_nothing: bool = False


def count(column: str = "") -> Aggregate:
    """Return the number of rows, or of a column's values."""
    state = State("values", column) if column else State("rows")
    return Aggregate(states=(state,), value=_or_zero, is_zero_of_nothing=True)


def total(column: str, *, decimals: int = DECIMALS) -> Aggregate:
    """Return the sum of the column, as a double; of no value it is 0."""
    return Aggregate(
        states=(State("sum", column, _checked(decimals)),),
        value=lambda added: _or_zero(added.cast("double")),
        is_zero_of_nothing=True,
    )


def mean(column: str, *, decimals: int = DECIMALS) -> Aggregate:
    """Return the mean of the column; of a boolean, the share of true."""
    return Aggregate(
        states=(State("sum", column, _checked(decimals)), State("values", column)),
        value=lambda added, values: F.try_divide(added.cast("double"), values),
    )


def std(column: str, *, decimals: int = DECIMALS) -> Aggregate:
    """Return the sample standard deviation of the column; null for fewer than two values.

    Whole numbers above a trillion need fewer ``decimals``. Deviations are taken from the rounded mean, so that small
    ones around a large mean keep their digits (the shifted algorithm in Chan, Golub & LeVeque 1983, "Algorithms for
    Computing the Sample Variance").
    """
    number, square = f"decimal(19,{_checked(decimals)})", f"decimal(37,{2 * decimals})"

    def value(squares: Column, added: Column, values: Column) -> Column:
        sum_ = added.cast(number)
        shift = F.try_divide(sum_, values).cast(f"decimal({_DIGITS},{decimals})")
        shifts = (shift * values).cast(number)
        rest = (sum_ - shifts).cast("double")
        around_shift = (squares.cast(square) + ((shifts - 2 * sum_).cast(number) * shift).cast(square)).cast("double")
        variance = F.try_divide(around_shift - F.try_divide(rest * rest, values), values - 1)
        return F.when(values > 1, F.sqrt(F.greatest(variance, F.lit(0.0))))

    return Aggregate(
        states=(State("squares", column, decimals), State("sum", column, decimals), State("values", column)),
        value=value,
    )


def minimum(column: str) -> Aggregate:
    """Return the least value of the column."""
    return Aggregate(states=(State("min", column),), value=lambda least: least)


def maximum(column: str) -> Aggregate:
    """Return the greatest value of the column."""
    return Aggregate(states=(State("max", column),), value=lambda greatest: greatest)


def _or_zero(column: Column) -> Column:
    return F.coalesce(column, F.lit(0))


def _checked(decimals: int) -> int:
    if not 0 <= decimals <= MAX_DECIMALS:
        raise ConfigurationError(
            f"{decimals} decimals", where="decimals", fix=f"choose 0 to {MAX_DECIMALS}: numbers have {_DIGITS} digits"
        )
    return decimals
