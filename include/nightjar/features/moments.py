"""Days and instants of a column: a date stands for the midnight that ends it, as the files of that night hold it."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, TimestampType

from nightjar.protocol.errors import ConfigurationError


def local_day(instant: Column, timezone: str) -> Column:
    """Return the calendar day of ``instant`` (UTC) in ``timezone``; midnight belongs to the day that it begins."""
    return F.to_date(F.from_utc_timestamp(instant, timezone))


def prediction_moment(night: Column, timezone: str) -> Column:
    """Return the local midnight that ends ``night``, in UTC: :meth:`nightjar.protocol.nights.Nights.prediction_moment`.

    Args:
        night: Dates.
        timezone: IANA time zone of the nights.
    """
    return F.to_utc_timestamp(F.date_add(night, 1).cast("timestamp"), timezone)


def is_date(frame: DataFrame, name: str) -> bool:
    """Whether the column holds dates.

    Raises:
        ConfigurationError: when it holds neither dates nor timestamps.
    """
    kind = frame.schema[name].dataType
    if not isinstance(kind, (DateType, TimestampType)):
        raise ConfigurationError(
            f"{name} is a {kind.simpleString()}, not a date or a timestamp",
            where=name,
            fix=f"cast {name} to date or timestamp",
        )
    return isinstance(kind, DateType)


def instant_of(frame: DataFrame, name: str, timezone: str) -> Column:
    """Return the column's instants, in UTC: of a date, the local midnight that ends it."""
    return prediction_moment(frame[name], timezone) if is_date(frame, name) else frame[name]


def day_of(frame: DataFrame, name: str, timezone: str) -> Column:
    """Return the column's local days."""
    return frame[name] if is_date(frame, name) else local_day(frame[name], timezone)


def complete_day(instant: Column, timezone: str) -> Column:
    """Return the last local day that has ended at ``instant``: of a prediction moment, its night."""
    return F.date_sub(local_day(instant, timezone), 1)
