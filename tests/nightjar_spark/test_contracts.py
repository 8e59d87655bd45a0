from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.landed_nights import NIGHTS, ORDERS, SHOP

from nightjar.contracts.names import BROKEN_RULES
from nightjar.contracts.rules import Rule, matches
from nightjar.validation.table_rules import table_rules
from nightjar.validation.tolerance import NightCount

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


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
    marked = sorted((row["amount"] or 0, row[BROKEN_RULES]) for row in frame.collect())
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


def test_a_pattern_must_match_the_whole_value(spark: SparkSession) -> None:
    from nightjar_spark.contracts import annotate

    rules = (matches("carrier", "[0-9A-Z]{2}|X", like="a carrier code"),)
    ends = ("", "\u2028", "\u2029", "\u0085", "\r", "\n", "\r\n", " ", "A")
    values = [*("UA" + end for end in ends), "X", "XUA", "\nUA", "U\nA"]
    frame = spark.createDataFrame([(NIGHTS[0], value) for value in values], "ds date, carrier string")
    schema = replace(ORDERS.table, key=())
    kept = [row["carrier"] for row in annotate(frame, schema, rules).collect() if not row[BROKEN_RULES]]
    assert kept == ["UA", "X"]
