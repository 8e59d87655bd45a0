"""The latest known row: against a plain Python search, and on literal tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark
NEW_YORK = "America/New_York"
NIGHT = date(2013, 3, 10)  # 23 hours
DAYS = [NIGHT + timedelta(days=days) for days in range(-3, 3)]
Row = tuple[str | None, Any, Any, int | None]
"""Key, time, known_at, value."""


def midnight(day: date) -> datetime:
    return Nights(first=day, last=day, timezone=NEW_YORK).prediction_moment(day)


INSTANTS = [midnight(day) + timedelta(microseconds=shift) for day in DAYS for shift in (-1, 0, 1)]


def table_of(spark: SparkSession, rows: Sequence[Row], time: str = "timestamp", known: str = "date") -> DataFrame:
    return spark.createDataFrame(list(rows), f"key string, time {time}, known {known}, value int")


def found(
    spark: SparkSession, entities: Sequence[tuple[str | None, Any]], table: DataFrame, **options: Any
) -> list[Any]:
    """Return the value of each entity, in order."""
    from nightjar.features.as_of import as_of

    at = "date" if all(not isinstance(moment, datetime) for _, moment in entities) else "timestamp"
    asked = spark.createDataFrame([(*entity, i) for i, entity in enumerate(entities)], f"key string, at {at}, i int")
    joined = as_of(
        asked, table, by=["key"], time="time", at="at", columns=["value"], timezone=NEW_YORK, **options
    ).collect()
    assert sorted(row["i"] for row in joined) == list(range(len(entities))), "rows in = rows out"
    return [row["value"] for row in sorted(joined, key=lambda row: row["i"])]


def instant(moment: Any) -> datetime:
    return moment if isinstance(moment, datetime) else midnight(moment)


def naive(entity: tuple[str | None, Any], rows: Sequence[Row], ttl: timedelta | None) -> int | None:
    key, at = entity
    if key is None or at is None:
        return None
    candidates = [
        (instant(time), max(instant(time), instant(known)), value is not None, value or 0)
        for of, time, known, value in rows
        if of == key and None not in (time, known) and max(instant(time), instant(known)) <= instant(at)
    ]
    if not candidates:
        return None
    time, _, has_value, value = max(candidates)
    return value if has_value and (ttl is None or instant(at) - time <= ttl) else None


KEYS = st.sampled_from(("a", "a", "a", "b", "b", None))
MOMENTS = st.sampled_from((*INSTANTS, None))
TABLES = st.lists(
    st.tuples(KEYS, MOMENTS, st.sampled_from((*DAYS, None)), st.sampled_from((0, 1, 2, 3, None))),
    min_size=20,
    max_size=40,
)
"""Rows enough that most entities have several to choose from."""


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    rows=TABLES,
    entities=st.lists(st.tuples(KEYS, MOMENTS), min_size=6, max_size=20),
    ttl=st.none() | st.sampled_from((timedelta(0), timedelta(hours=30), timedelta(days=2))),
    random=st.randoms(use_true_random=False),
)
def test_as_of_equals_a_search_in_any_order_of_rows(
    spark: SparkSession, rows: list[Row], entities: list[tuple[str | None, Any]], ttl: timedelta | None, random: Any
) -> None:
    expected = [naive(entity, rows, ttl) for entity in entities]
    random.shuffle(rows)
    table = table_of(spark, rows)
    assert found(spark, entities, table.repartition(3), known_at="known", ttl=ttl) == expected


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(rows=TABLES, later=TABLES, days=st.integers(1, 2))
def test_rows_known_after_the_moment_change_nothing(
    spark: SparkSession, rows: list[Row], later: list[Row], days: int
) -> None:
    """Rows of later nights, whatever time they claim, and rows of earlier nights for a time after the moment."""
    entities = [("a", NIGHT), ("b", NIGHT), (None, NIGHT)]
    after = [(key, time, NIGHT + timedelta(days=days), value) for key, time, _, value in later]
    after += [(key, midnight(NIGHT) + timedelta(microseconds=1), known, value) for key, _, known, value in later]
    honest = found(spark, entities, table_of(spark, rows), known_at="known")
    assert found(spark, entities, table_of(spark, [*after, *rows]), known_at="known") == honest


def test_a_row_counts_until_it_is_older_than_ttl(spark: SparkSession) -> None:
    at = midnight(NIGHT)
    table = table_of(spark, [("a", at - timedelta(hours=6), NIGHT, 1)])
    values = [found(spark, [("a", at)], table, ttl=timedelta(hours=hours))[0] for hours in (6, 5)]
    assert values == [1, None]
    assert found(spark, [("a", NIGHT)], table, ttl=timedelta(hours=6)) == [1]


def test_ttl_of_dates_counts_days_also_where_one_has_23_hours_or_25(spark: SparkSession) -> None:
    for night in (date(2013, 3, 10), date(2013, 11, 3)):
        rows = [("a", night - timedelta(days=1), None, 1)]
        table = table_of(spark, rows, time="date")
        assert found(spark, [("a", night)], table, ttl=timedelta(days=1)) == [1]
        assert found(spark, [("a", night)], table, ttl=timedelta(0)) == [None]
        assert found(spark, [("a", midnight(night))], table, ttl=timedelta(days=1)) == [1]
    with pytest.raises(ConfigurationError, match="whole days"):
        found(spark, [("a", NIGHT)], table, ttl=timedelta(hours=6))


def test_ties_go_to_the_correction_then_to_the_greatest_value(spark: SparkSession) -> None:
    time, before = midnight(NIGHT) - timedelta(days=2), NIGHT - timedelta(days=1)
    tied: list[Row] = [("a", time, before, 9), ("a", time, NIGHT, 3), ("a", time, NIGHT, 5), ("a", time, NIGHT, None)]
    for rows in (tied, tied[::-1]):
        assert found(spark, [("a", NIGHT), ("a", before)], table_of(spark, rows), known_at="known") == [5, 9]


def test_a_snapshot_row_is_valid_until_it_is_replaced(spark: SparkSession) -> None:
    """A change of 8 March is announced on 6 March and corrected on 9 March."""
    first, change = date(2013, 1, 1), date(2013, 3, 8)
    rows = [("a", first, first, 10), ("a", change, date(2013, 3, 6), 12), ("a", change, date(2013, 3, 9), 11)]
    nights = [date(2012, 12, 31), first, date(2013, 3, 7), change, date(2013, 3, 9), date(2013, 12, 1)]
    table = table_of(spark, rows, time="date")
    assert found(spark, [("a", night) for night in nights], table, known_at="known") == [None, 10, 10, 12, 11, 11]


def test_an_empty_table_gives_nulls_and_an_entity_without_rows_no_row(spark: SparkSession) -> None:
    assert found(spark, [("a", NIGHT), (None, NIGHT), ("a", NIGHT)], table_of(spark, [])) == [None] * 3


def test_entities_keep_their_columns_and_types_and_one_shuffle_joins_them(spark: SparkSession) -> None:
    from nightjar.features.as_of import as_of

    entities = spark.createDataFrame([("a", NIGHT, [1.5])], "key string, ds date, other array<double>")
    joined = as_of(
        entities, table_of(spark, []), by=["key"], time="time", columns=["value"], timezone=NEW_YORK
    )  # fmt: skip
    assert joined.schema.simpleString() == "struct<key:string,ds:date,other:array<double>,value:int>"
    plan = joined._jdf.queryExecution().executedPlan().toString()  # type: ignore[operator]
    assert plan.count("Exchange") == 1
    assert "Join" not in plan


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ("key int, ds date", r"keys .* different types: key \(int and string\)"),
        ("key string, ds string", "ds is a string, not a date or a timestamp"),
        ("key string, ds date, value int", "the entities already have value"),
    ],
)
def test_columns_that_do_not_fit_are_named(spark: SparkSession, types: str, message: str) -> None:
    from nightjar.features.as_of import as_of

    with pytest.raises(ConfigurationError, match=message):
        as_of(
            spark.createDataFrame([], types), table_of(spark, []), by=["key"], time="time", columns=["value"],
            timezone=NEW_YORK,
        )  # fmt: skip


def test_a_moment_is_in_utc() -> None:
    assert midnight(NIGHT) == datetime(2013, 3, 11, 4, tzinfo=UTC)
