"""Aggregates over trailing windows of days, added up from the states of single days ("tiles")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from nightjar.features.aggregates import Aggregate, State
from nightjar.features.keys import check_keys, check_new, has_values
from nightjar.features.moments import complete_day, day_of, is_date
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights

_DAY, _NIGHT = "_day", "_night"


def trailing(
    entities: DataFrame,
    table: DataFrame,
    nights: Nights,
    *,
    by: Sequence[str],
    time: str,
    windows: Sequence[int],
    aggregates: Mapping[str, Aggregate],
    at: str = "ds",
    known_at: str | None = None,
) -> DataFrame:
    """Add to each entity aggregates over the rows of its key that became known in the days before its night's end.

    Rows in = rows out. Counts and totals of an entity without rows are 0, other aggregates null. An entity with a null
    in its key, or whose night is not one of ``nights``, has nulls alone.

    Args:
        entities: Rows to predict, with the columns of ``by`` and ``at``. All columns are kept.
        table: As for :func:`trailing_by_night`.
        nights: Nights of the entities.
        by: Columns that identify an entity in both.
        time: As for :func:`trailing_by_night`.
        windows: Lengths of the windows in days, each ending with the night.
        aggregates: Name to aggregate; a column is named ``<name>_<days>d``.
        at: Night of an entity, or a timestamp (UTC), of which the last day that has ended is the night.
        known_at: As for :func:`trailing_by_night`.

    Raises:
        ConfigurationError: as for :func:`nightjar.features.as_of.as_of`, or for an invalid window.
    """
    check_keys(entities, table, by)
    names = {_name(name, days): aggregate for days in windows for name, aggregate in aggregates.items()}
    check_new(entities, names)
    figures = trailing_by_night(
        table, nights, by=by, time=time, windows=windows, aggregates=aggregates, known_at=known_at
    ).withColumnRenamed("ds", _NIGHT)
    night = entities[at] if is_date(entities, at) else complete_day(entities[at], nights.timezone)
    has_answer = has_values(by) & F.col(_NIGHT).between(nights.first, nights.last)
    values = (
        F.when(has_answer, F.coalesce(F.col(name), F.lit(0))).alias(name)
        if aggregate.is_zero_of_nothing
        else F.col(name)
        for name, aggregate in names.items()
    )
    return entities.withColumn(_NIGHT, night).join(figures, [*by, _NIGHT], "left").select(*entities.columns, *values)


def trailing_by_night(
    table: DataFrame,
    nights: Nights,
    *,
    by: Sequence[str],
    time: str,
    windows: Sequence[int],
    aggregates: Mapping[str, Aggregate],
    known_at: str | None = None,
) -> DataFrame:
    """Return the aggregates of each key and night with a row in the longest window.

    A row counts on the day of ``time``, or on the day of ``known_at`` when that is later: a row that becomes known
    later than its day changes no earlier night, and its days in the windows begin with the night that knows it. So the
    tile of a day is complete when the day ends. Each is computed once and serves all its nights, in an interval of one
    night or of many.

    Args:
        table: Rows with the columns of ``by``, ``time``, ``known_at`` and the aggregates. It needs the rows known from
            ``max(windows) - 1`` days before the first night on (``history_nights``).
        nights: Nights to compute; their time zone gives the day of a timestamp.
        by: Columns of the key; rows with a null in one are left out.
        time: Date or timestamp (UTC) of the event.
        windows: Lengths of the windows in days, each ending with the night.
        aggregates: Name to aggregate.
        known_at: Date or timestamp (UTC) from which the row is known, e.g. ``ds``; default: from ``time``. A row with a
            null is never known.

    Returns:
        Columns ``by``, ``ds`` (the night), and ``<name>_<days>d`` for each window and aggregate.

    Raises:
        ConfigurationError: for an invalid window, or a ``time`` that is neither date nor timestamp.
    """
    if not windows or min(windows) < 1:
        raise ConfigurationError(f"windows of {list(windows)} days", where="windows", fix="name days, each at least 1")
    states = list(dict.fromkeys(state for aggregate in aggregates.values() for state in aggregate.states))
    longest = max(windows)
    first, last = F.lit(nights.first), F.lit(nights.last)
    day = day_of(table, time, nights.timezone)
    if known_at:
        day = F.greatest(day, day_of(table, known_at, nights.timezone))
    rows = table.where(has_values([*by, time, *([known_at] if known_at else [])])).withColumn(_DAY, day)
    tiles = daily_tiles(rows.where(F.col(_DAY).between(F.date_sub(first, longest - 1), last)), by, states)
    serves = F.sequence(F.greatest(_DAY, first), F.least(F.date_add(_DAY, longest - 1), last))
    served = tiles.select("*", F.explode(serves).alias("ds"))
    age = F.datediff("ds", _DAY)

    def merged(state: State, days: int) -> Column:
        return state.merged(F.when(age < days, F.col(state.name)))

    values = (
        aggregate.value(*(merged(state, days) for state in aggregate.states)).alias(_name(name, days))
        for days in windows
        for name, aggregate in aggregates.items()
    )
    return served.groupBy(*by, "ds").agg(*values)


def daily_tiles(rows: DataFrame, by: Sequence[str], states: Sequence[State]) -> DataFrame:
    """Return the states of each key and day, and shuffle by key: what is added up per key later needs no shuffle.

    Args:
        rows: Rows with the columns of ``by``, the day and the columns of the states.
        by: Columns of the key.
        states: States to compute.
    """
    types = {field.name: field.dataType for field in rows.schema}
    columns = (state.of_rows(types[state.column] if state.column else None).alias(state.name) for state in states)
    return rows.repartition(*by).groupBy(*by, _DAY).agg(*columns)


def _name(name: str, days: int) -> str:
    return f"{name}_{days}d"
