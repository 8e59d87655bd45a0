from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest
from tests.landed_nights import NIGHTS, ORDERS, SHOP

from nightjar.contracts.rules import Rule
from nightjar.contracts.tables import Column
from nightjar.validation.table_rules import table_rules
from nightjar.validation.tolerance import NightCount

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "12", 12),
        ("int", "12.5", None),
        ("int", "3000000000", None),
        ("long", "3000000000", 3_000_000_000),
        ("double", "1e3", 1000.0),
        ("double", "NaN", None),
        ("double", "-Infinity", None),
        ("double", "1,5", None),
        ("date", "2013-04-01", date(2013, 4, 1)),
        ("date", "01.04.2013", None),
        ("timestamp", "2013-04-01T05:00:00Z", datetime(2013, 4, 1, 5, tzinfo=UTC)),
        ("timestamp", "2013-04-01T05:00:00-04:00", datetime(2013, 4, 1, 9, tzinfo=UTC)),
        ("timestamp", "2013-04-01 05:00:00", datetime(2013, 4, 1, 5, tzinfo=UTC)),
        ("timestamp", "12:30", None),
        ("timestamp", "2013-02-30T05:00:00Z", None),
        ("string", "x", "x"),
        ("int", None, None),
    ],
)
def test_parse(spark: SparkSession, kind: str, text: str | None, value: object) -> None:
    from pyspark.sql import functions as F

    from nightjar_spark.contracts import parse

    frame = spark.createDataFrame([(text,)], "text string")
    parsed = parse(F.col("text"), Column("text", kind, "Anything."))  # type: ignore[arg-type]
    if kind == "timestamp":
        (micros,) = frame.select(F.unix_micros(parsed)).first() or (None,)
        assert micros == (None if value is None else int(value.timestamp() * 1e6))  # type: ignore[attr-defined]
    else:
        assert frame.select(parsed).first() == (value,)


def test_rows_are_marked_with_every_rule_that_they_break(spark: SparkSession) -> None:
    from nightjar_spark.contracts import annotate, count_by_night

    rules = (
        *table_rules(SHOP.feature_table, SHOP.rules),
        Rule(name="round_amount", broken_when="amount <> round(amount)", reason="has cents", severity="warn"),
    )
    first, second = NIGHTS
    rows = [
        (first, "N", 1, 10.0),
        (first, "N", 1, 11.0),
        (second, "N", 1, 12.5),
        (first, None, 2, 13.0),
        (first, None, 2, 14.0),
        (first, "S", 3, 501.0),
        (first, "S", 4, None),
    ]
    frame = annotate(
        spark.createDataFrame(rows, "ds date, shop string, number int, amount double"), SHOP.feature_table, rules
    )
    marked = sorted((row["amount"] or 0, row["broken_rules"]) for row in frame.collect())
    assert marked == [
        (0, []),
        (10.0, ["key_unique"]),
        (11.0, ["key_unique"]),
        (12.5, ["round_amount"]),
        (13.0, ["shop_not_null"]),
        (14.0, ["shop_not_null"]),
        (501.0, ["amount_between"]),
    ]
    assert count_by_night(frame, rules) == [
        NightCount(night=first, rows=6, rejected=5, broken={"shop_not_null": 2, "key_unique": 2, "amount_between": 1}),
        NightCount(night=second, rows=1, rejected=0, broken={"round_amount": 1}),
    ]


def test_warning_alone_rejects_nothing(spark: SparkSession) -> None:
    from nightjar_spark.contracts import annotate, is_rejected

    rules = (
        Rule(name="odd", broken_when="number % 2 = 1", reason="odd", severity="warn"),
        Rule(name="big", broken_when="number > 5", reason="big"),
        Rule(name="huge", broken_when="number > 8", reason="huge", severity="stop_night"),
    )
    frame = spark.createDataFrame([(NIGHTS[0], "N", n) for n in (1, 2, 7, 9)], "ds date, shop string, number int")
    marked = annotate(frame, ORDERS.table, rules)
    assert sorted(row["number"] for row in marked.where(is_rejected(rules)).collect()) == [7, 9]
