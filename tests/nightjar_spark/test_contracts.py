from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.landed_nights import NIGHTS, ORDERS, SHOP

from nightjar.declaration.rules import Rule, matches
from nightjar.protocol.names import BROKEN_RULES
from nightjar.validation.night_count import NightCount
from nightjar.validation.table_rules import table_rules

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_rows_are_marked_with_every_rule_that_they_break(spark: SparkSession) -> None:
    from nightjar_spark.contracts import annotate, count_by_night

    rules = (
        *table_rules(SHOP.feature_table, SHOP.features.rules),
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


ROWS = {
    "null": (None, None, None),
    "one": (1, 1, "1"),
    "zero": (0, 0, "x"),
    "large": (30, 3, "2013-02-30"),
    "greatest": (2**31 - 1, 2, "2013"),
}
BREAK_OR_CANNOT_BE_COMPUTED = {
    "speed": ("a / b > 100", {"zero", "greatest"}),
    "slow": ("a / b < 1", {"zero"}),
    "remainder": ("a % b = 7", {"zero"}),
    "day": ("make_date(2013, 2, a) > ds", {"zero", "large", "greatest"}),
    "whole": ("cast(s as int) < 0", {"zero", "large"}),
    "number": ("cast(s as double) < 0", {"zero", "large"}),
    "narrow": ("cast(a as tinyint) < 0", {"greatest"}),
    "sum": ("a + 1 < 0", {"greatest"}),
    "negated": ("-a - 10 > 0", {"greatest"}),
    "part": ("element_at(array(1, 2), b) > 5", {"zero", "large"}),
    "item": ("array(1, 2)[b] > 5", {"large", "greatest"}),
    "parsed": ("to_date(s, 'yyyy-MM-dd') < ds", {"zero", "large", "greatest", "one"}),
    "moment": ("cast(s as timestamp) > current_timestamp()", {"one", "zero", "large"}),
    "format": ("to_number(s, '9999') > 9998", {"zero", "large"}),
    "guarded": ("b <> 0 and a / b > 1e12", set()),
    "case": ("CASE WHEN a / b > 100 THEN true ELSE false END", {"zero", "greatest"}),
    "if": ("NOT if(a / b > 100, false, true)", {"zero", "greatest"}),
    "null": ("(a / b > 100) IS NULL", {"zero", "null"}),
    "coalesced": ("coalesce(a / b > 100, false)", {"zero", "greatest"}),
    "nested": ("nullif(CASE WHEN cast(s as int) > 1 THEN 1 ELSE 2 END, 2) = 7", {"zero", "large"}),
    "constant": ("1 / 0 > 1 AND a > 0", {"null", "one", "zero", "large", "greatest"}),
    "between": ("a / b BETWEEN 100 AND 200", {"zero"}),
    "in": ("a / b IN (100, 200)", {"zero"}),
    "like": ("cast(a / b as string) LIKE 'x'", {"zero"}),
    "lambda": ("exists(array(a, b), x -> 10 / x > 20)", {"zero"}),
    "decimal": ("cast(a * 1000000000.0 as decimal(12, 1)) < 0", {"greatest"}),
}


@pytest.mark.parametrize(("whole_stage", "mode"), [("true", "FALLBACK"), ("false", "NO_CODEGEN")])
def test_a_row_breaks_each_rule_that_cannot_be_computed_on_it(spark: SparkSession, whole_stage: str, mode: str) -> None:
    from nightjar_spark.contracts import annotate, count_by_night

    conf = {"spark.sql.codegen.wholeStage": whole_stage, "spark.sql.codegen.factoryMode": mode}
    usual = {name: spark.conf.get(name) for name in conf}
    rules = [
        Rule(name=name, broken_when=predicate, reason="out of range")
        for name, (predicate, _) in BREAK_OR_CANNOT_BE_COMPUTED.items()
    ]
    rows = [(NIGHTS[0], name, *values) for name, values in ROWS.items()]
    frame = spark.createDataFrame(rows, "ds date, row string, a int, b int, s string")
    marked = annotate(frame, replace(ORDERS.table, key=()), rules)
    for name, value in conf.items():
        spark.conf.set(name, value)
    try:
        broken = {row["row"]: row[BROKEN_RULES] for row in marked.collect()}
        (count,) = count_by_night(marked, rules)
    finally:
        for name, value in usual.items():
            spark.conf.set(name, value)
    found = {rule.name: {row for row, names in broken.items() if rule.name in names} for rule in rules}
    assert found == {name: rows for name, (_, rows) in BREAK_OR_CANNOT_BE_COMPUTED.items()}
    assert count.broken == {name: len(rows) for name, rows in found.items() if rows}
