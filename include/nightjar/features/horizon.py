"""Lags of a series for each step of a forecast, none of which looks past the night."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from nightjar.features.keys import check_new
from nightjar.protocol.errors import ConfigurationError

FIRST_DAY, VALUES = "_first_day", "_values"
"""Columns of :func:`with_values`."""


def seasonal_lags(
    steps: DataFrame, series: DataFrame, *, by: Sequence[str], season: int, count: int, value: str = "value"
) -> DataFrame:
    """Add to each step the last known values of the same day of the season: ``season_lag_1`` is the latest.

    For a season of 7 and step 3 these are the values 7, 14, … days before the day that is forecast; for step 9 they are
    those of 14, 21, … days before, because the day 7 days before has not come yet.

    Args:
        steps: Rows to forecast: ``ds`` (the night), ``step`` (from 1), and the columns of ``by``. All columns are kept.
        series: Values by day: ``ds``, the columns of ``by``, and ``value``; one row for each day of a series, without
            gaps.
        by: Columns that identify a series in both.
        season: Days of a season.
        count: Number of lags.
        value: Name of the column of values.

    Returns:
        ``steps`` with ``season_lag_1`` to ``season_lag_<count>``; null before the first day of a series.

    Raises:
        ConfigurationError: when a column exists already, or ``season`` or ``count`` is below 1.
    """
    _check(season=season, count=count)
    seasons_back = F.ceil(F.col("step") / season)
    days_back = {
        f"season_lag_{n}": ((seasons_back + (n - 1)) * season - F.col("step")).cast("int") for n in range(1, count + 1)
    }
    return _with_lags(steps, series, by, days_back, value)


def recent_lags(
    steps: DataFrame, series: DataFrame, *, by: Sequence[str], count: int, value: str = "value"
) -> DataFrame:
    """Add the last values of the series to each step: ``lag_0`` is that of the night, ``lag_1`` of the day before.

    Args and errors are those of :func:`seasonal_lags`; the columns are ``lag_0`` to ``lag_<count - 1>``.
    """
    _check(count=count)
    return _with_lags(steps, series, by, {f"lag_{n}": F.lit(n) for n in range(count)}, value)


def _check(**at_least_1: int) -> None:
    if wrong := {name: number for name, number in at_least_1.items() if number < 1}:
        raise ConfigurationError(f"{wrong} is below 1", where="lags of a series", fix="give whole numbers from 1")


def _with_lags(
    steps: DataFrame, series: DataFrame, by: Sequence[str], days_back: dict[str, Column], value: str
) -> DataFrame:
    """Add the value of ``days_back`` days before the night; each is at least 0."""
    check_new(steps, days_back)
    known = with_values(series, by, value)
    position = F.datediff("ds", F.col(FIRST_DAY))
    lags = (F.when(position >= days, F.get(VALUES, position - days)).alias(name) for name, days in days_back.items())
    return steps.join(known, list(by), "left").select(*steps.columns, *lags)


def with_values(series: DataFrame, by: Sequence[str], value: str) -> DataFrame:
    """Return one row for each series: its first day, and its values in the order of days."""
    days = F.sort_array(F.collect_list(F.struct("ds", F.col(value).cast("double").alias("value"))))
    return (
        series.groupBy(*by)
        .agg(days.alias("_days"))
        .select(*by, F.col("_days")[0]["ds"].alias(FIRST_DAY), F.col("_days")["value"].alias(VALUES))
    )
