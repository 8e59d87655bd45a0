"""Trailing aggregates: against a plain Python computation, and on literal tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

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
NIGHTS = Nights(first=NIGHT - timedelta(days=1), last=NIGHT + timedelta(days=1), timezone=NEW_YORK)
WINDOWS = (1, 3)
DAYS = [NIGHT + timedelta(days=days) for days in range(-4, 3)]
Row = tuple[str | None, Any, date | None, float | None, bool | None]
"""Key, time, known_at, amount, late."""
Entity = tuple[str | None, Any]


def table_of(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    types = "key string, time timestamp, known date, amount double, late boolean"
    return spark.createDataFrame(list(rows), types)


def figures(
    spark: SparkSession, entities: Sequence[Entity], table: DataFrame, nights: Nights = NIGHTS
) -> list[dict[str, Any]]:
    """Return the aggregates of each entity, in order."""
    from nightjar.features.aggregates import count, maximum, mean, minimum, std, total
    from nightjar.features.trailing import trailing

    at = "timestamp" if any(isinstance(moment, datetime) for _, moment in entities) else "date"
    asked = spark.createDataFrame([(*entity, i) for i, entity in enumerate(entities)], f"key string, ds {at}, i int")
    aggregates = {
        "rows": count(),
        "amounts": count("amount"),
        "total": total("amount"),
        "mean": mean("amount"),
        "std": std("amount"),
        "least": minimum("amount"),
        "greatest": maximum("amount"),
        "late_rate": mean("late"),
    }
    joined = trailing(
        asked, table, nights, by=["key"], time="time", known_at="known", windows=WINDOWS, aggregates=aggregates
    ).collect()
    assert sorted(row["i"] for row in joined) == list(range(len(entities))), "rows in = rows out"
    rows = [row.asDict() for row in sorted(joined, key=lambda row: row["i"])]
    return [{name: value for name, value in row.items() if name not in {"key", "ds", "i"}} for row in rows]


def naive(entity: Entity, rows: Sequence[Row]) -> dict[str, Any]:
    key, night = entity
    answers = key is not None and night is not None and NIGHTS.first <= night <= NIGHTS.last
    result: dict[str, Any] = {}
    for days in WINDOWS:
        inside = []
        for of, time, known, amount, late in rows:
            if not answers or of != key or time is None or known is None:
                continue
            day = max(time.astimezone(ZoneInfo(NEW_YORK)).date(), known)
            if night - timedelta(days=days) < day <= night:
                inside.append((amount, late))
        amounts = [amount for amount, _ in inside if amount is not None and not math.isnan(amount)]
        lates = [late for _, late in inside if late is not None]
        result |= {
            f"rows_{days}d": len(inside) if answers else None,
            f"amounts_{days}d": len(amounts) if answers else None,
            f"total_{days}d": math.fsum(amounts) if answers else None,
            f"mean_{days}d": statistics.fmean(amounts) if amounts else None,
            f"std_{days}d": statistics.stdev(amounts) if len(amounts) > 1 else None,
            f"least_{days}d": min(amounts, default=None),
            f"greatest_{days}d": max(amounts, default=None),
            f"late_rate_{days}d": sum(lates) / len(lates) if lates else None,
        }
    return result


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
        else:
            assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-12), name


KEYS = st.sampled_from(("a", "a", "a", "b", "b", None))
INSTANTS = [
    Nights(first=day, last=day, timezone=NEW_YORK).prediction_moment(day) + timedelta(seconds=shift)
    for day in DAYS
    for shift in (-3600, -1, 0)
]
AMOUNTS = st.integers(-(10**9), 10**9).map(lambda number: number / 1000)
TABLES = st.lists(
    st.tuples(
        KEYS,
        st.sampled_from((*INSTANTS, None)),
        st.sampled_from((*DAYS, None)),
        st.sampled_from((None, float("nan"))) | AMOUNTS | AMOUNTS,
        st.sampled_from((True, False, None)),
    ),
    min_size=30,
    max_size=60,
)
"""Rows enough that most windows hold several."""
ENTITIES = st.lists(st.tuples(KEYS, st.sampled_from((*DAYS, None))), min_size=6, max_size=20)


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(rows=TABLES, entities=ENTITIES, random=st.randoms(use_true_random=False))
def test_trailing_equals_a_plain_computation_and_the_order_of_rows_never_shows(
    spark: SparkSession, rows: list[Row], entities: list[Entity], random: Any
) -> None:
    computed = figures(spark, entities, table_of(spark, rows))
    for entity, row in zip(entities, computed, strict=True):
        assert_close(row, naive(entity, rows))
    random.shuffle(rows)
    assert figures(spark, entities, table_of(spark, rows).repartition(3)) == computed


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(rows=TABLES, later=TABLES, days=st.integers(1, 2))
def test_rows_known_after_the_night_change_nothing_and_the_interval_never_shows(
    spark: SparkSession, rows: list[Row], later: list[Row], days: int
) -> None:
    """Rows of later nights, whatever time they claim, and rows of earlier nights for a time after the night's end."""
    end = NIGHTS.prediction_moment(NIGHT)
    after = [(key, time, NIGHT + timedelta(days=days), *values) for key, time, _, *values in later]
    after += [(key, end, known, *values) for key, _, known, *values in later]
    entities = [("a", NIGHT), ("b", NIGHT), (None, NIGHT)]
    alone = Nights(first=NIGHT, last=NIGHT, timezone=NEW_YORK)
    honest = figures(spark, entities, table_of(spark, rows), alone)
    assert figures(spark, entities, table_of(spark, [*after, *rows]), NIGHTS) == honest


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def test_a_row_that_becomes_known_late_counts_from_that_night_on(spark: SparkSession) -> None:
    first, last = NIGHTS.first, NIGHTS.last
    table = table_of(spark, [("a", noon(first - timedelta(days=2)), NIGHT, 5.0, True)])
    rows = figures(spark, [("a", first), ("a", NIGHT), ("a", last)], table)
    assert [(row["rows_1d"], row["rows_3d"]) for row in rows] == [(0, 0), (1, 1), (0, 1)]


def test_the_hour_around_a_clock_change_belongs_to_its_local_day(spark: SparkSession) -> None:
    """10 March 2013 ends in New York at 4:00 UTC; the day before it at 5:00 UTC."""
    times = [datetime(2013, 3, 10, 4, 59, 59, tzinfo=UTC), datetime(2013, 3, 11, 3, 59, 59, tzinfo=UTC),
             datetime(2013, 3, 11, 4, tzinfo=UTC)]  # fmt: skip
    table = table_of(spark, [("a", time, DAYS[0], 1.0, None) for time in times])
    rows = figures(spark, [("a", night) for night in NIGHTS], table)
    assert [row["rows_1d"] for row in rows] == [1, 1, 1]
    moments = figures(spark, [("a", NIGHTS.prediction_moment(night)) for night in NIGHTS], table)
    assert moments == rows


def test_an_empty_table_gives_zeros_and_nulls(spark: SparkSession) -> None:
    row, no_key = figures(spark, [("a", NIGHT), (None, NIGHT)], table_of(spark, []))
    zero = {f"{name}_{days}d" for name in ("rows", "amounts", "total") for days in WINDOWS}
    assert row == {name: 0 if name in zero else None for name in row}
    assert set(no_key.values()) == {None}


def test_a_small_deviation_from_a_large_mean_keeps_its_digits(spark: SparkSession) -> None:
    amounts = [1_000_000.001, 1_000_000.002, 1_000_000.003]
    (row,) = figures(spark, [("a", NIGHT)], table_of(spark, [("a", noon(NIGHT), NIGHT, x, None) for x in amounts]))
    assert row["std_1d"] == pytest.approx(0.001, rel=1e-9)
    (row,) = figures(spark, [("a", NIGHT)], table_of(spark, [("a", noon(NIGHT), NIGHT, 0.1, None)] * 10))
    assert row["std_1d"] == 0.0


def test_whole_numbers_need_no_decimals_and_decimals_round(spark: SparkSession) -> None:
    from nightjar.features.aggregates import mean, std, total
    from nightjar.features.trailing import trailing_by_night

    rows = [("a", NIGHT, 2**40, 0.126), ("a", NIGHT, 2**40 + 2, 0.126)]
    table = spark.createDataFrame(rows, "key string, day date, whole long, part double")
    aggregates = {
        "whole": total("whole"),
        "part": total("part", decimals=2),
        "mean": mean("whole"),
        "std": std("whole", decimals=0),
    }
    alone = Nights(first=NIGHT, last=NIGHT, timezone=NEW_YORK)
    (row,) = trailing_by_night(table, alone, by=["key"], time="day", windows=[1], aggregates=aggregates).collect()
    assert (row["whole_1d"], row["part_1d"], row["mean_1d"]) == (2.0**41 + 2, 0.26, 2.0**40 + 1)
    assert row["std_1d"] == pytest.approx(math.sqrt(2), rel=1e-12)


def test_each_row_is_read_once_and_each_day_added_up_once_for_all_nights(spark: SparkSession) -> None:
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    from nightjar.features.aggregates import count, mean
    from nightjar.features.trailing import trailing_by_night

    days = [date(2013, 1, 1) + timedelta(days=i) for i in range(60)]
    read = Observation("read")
    table = table_of(spark, [("a", noon(day), day, 1.0, True) for day in days for _ in range(3)])
    table = table.observe(read, F.count("*").alias("rows"))
    nights = Nights(first=days[30], last=days[-1], timezone=NEW_YORK)
    by_night = trailing_by_night(
        table, nights, by=["key"], time="time", known_at="known", windows=[7, 28],
        aggregates={"rows": count(), "late": mean("late")},
    )  # fmt: skip
    rows = by_night.collect()
    assert {(row["rows_7d"], row["rows_28d"]) for row in rows} == {(21, 84)}
    assert len(rows) == 30
    assert read.get == {"rows": 180}
    plan = by_night._jdf.queryExecution().executedPlan().toString()  # type: ignore[operator]
    assert plan.count("Exchange hashpartitioning") == 2, "the plan before and after adaption, one shuffle in each"


@pytest.mark.parametrize("windows", [(), (0,), (7, -1)])
def test_a_window_has_days(spark: SparkSession, windows: tuple[int, ...]) -> None:
    from nightjar.features.aggregates import count
    from nightjar.features.trailing import trailing_by_night

    with pytest.raises(ConfigurationError, match="at least 1"):
        trailing_by_night(
            table_of(spark, []), NIGHTS, by=["key"], time="time", windows=windows, aggregates={"rows": count()}
        )


def test_decimals_have_a_limit() -> None:
    from nightjar.features.aggregates import mean

    with pytest.raises(ConfigurationError, match="choose 0 to 12"):
        mean("amount", decimals=13)
