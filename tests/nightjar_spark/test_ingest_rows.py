"""Rows out of contract: rejected or warned of, and the tolerance beyond which the night stops."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.declarations import with_fields
from tests.landed_nights import ORDERS, PRICES, SHOP, orders_of, tolerant
from tests.nightjar_spark.shop_lake import FIRST, Shop, assert_stops

from nightjar.declaration.rules import Rule
from nightjar.protocol.errors import ContractError

pytestmark = pytest.mark.spark


def test_warnings_are_reported_and_keep_their_rows(shop: Shop) -> None:
    result = shop.ingest()
    assert result.sources["prices"].broken_rules == {"price_known": 1}
    assert [row["price"] for row in shop.rows("raw/prices", FIRST)] == [1.5, None, 3.0]


def test_rows_out_of_contract_go_to_quarantine_as_they_landed(shop: Shop) -> None:
    """Each case: a line, the rules that it breaks, and some of its fields as they landed."""
    cases: list[tuple[str, list[str], dict[str, Any]]] = [
        ("N,,20,2013-04-01T01:00:00Z", ["number_not_null"], {"number": None}),
        ("NA,20,20,2013-04-01T01:00:00Z", ["shop_not_null"], {"shop": None}),
        ("N,x1,20,2013-04-01T01:00:00Z", ["number_parses", "number_not_null"], {"number": "x1"}),
        ("N,21,twenty,2013-04-01T01:00:00Z", ["amount_parses"], {"amount": "twenty"}),
        ("N,22,1001,2013-04-01T01:00:00Z", ["amount_between"], {"amount": "1001"}),
        ("N,23,-1,2013-04-01T01:00:00Z", ["amount_between"], {"amount": "-1"}),
        ("W,24,20,2013-04-01T01:00:00Z", ["shop_one_of"], {"shop": "W"}),
        ("N,25,20,2013-04-02T00:00:00Z", ["placed_in_day"], {"placed_at": "2013-04-02T00:00:00Z"}),
        ("N,26,20,2013-03-31T23:59:59Z", ["placed_in_day"], {"placed_at": "2013-03-31T23:59:59Z"}),
        ("N,27,20,", ["placed_at_not_null"], {"placed_at": None}),
        ("N,28,20,soon", ["placed_at_parses", "placed_at_not_null"], {"placed_at": "soon"}),
        ("W,29,9999,2013-04-01T01:00:00Z", ["shop_one_of", "amount_between"], {"shop": "W", "amount": "9999"}),
    ]
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), *(line for line, _, _ in cases)]})
    result = shop.ingest(use_case=tolerant(0.9))
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (23, 11, 12)
    broken = Counter(rule for _, rules, _ in cases for rule in rules)
    assert result.sources["orders"].broken_rules == broken
    names = ("shop", "number", "amount", "placed_at")
    rejected = {tuple(row[name] for name in names): (table, rules, row) for table, rules, row in shop.rejected(FIRST)}
    assert len(rejected) == 12
    for line, rules, kept in cases:
        fields = [None if field in {"", "NA"} else field for field in line.split(",")]
        table, found, row = rejected[tuple(fields)]
        assert (table, found) == ("raw/orders", rules), line
        assert {name: row[name] for name in kept} == kept
        assert sorted(row) == sorted(names)
    assert len(shop.rows("raw/orders", FIRST)) == 8


def test_a_row_on_which_a_rule_cannot_be_computed_goes_to_quarantine_or_is_warned_of(shop: Shop) -> None:
    rules = (
        Rule(name="ratio", broken_when="100 / (amount - 12) > 1000", reason="the ratio is too high"),
        Rule(name="day", broken_when="make_date(2013, 2, number + 23) IS NULL", reason="no such day", severity="warn"),
    )
    orders = replace(ORDERS, rules=(*ORDERS.rules, *rules))
    result = shop.ingest(use_case=with_fields(SHOP, data={"sources": (orders, PRICES)}))
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (11, 10, 1)
    assert result.sources["orders"].broken_rules == {"ratio": 1, "day": 2}
    ((table, broken, row),) = shop.rejected(FIRST)
    assert (table, broken, row["amount"]) == ("raw/orders", ["ratio"], "12")


def test_every_row_of_a_duplicate_key_is_rejected(shop: Shop) -> None:
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), "N,0,99,2013-04-01T03:00:00Z"]})
    result = shop.ingest()
    assert result.rows_rejected == 2
    assert {(tuple(rules), row["amount"]) for _, rules, row in shop.rejected(FIRST)} == {
        (("key_unique",), "10"),
        (("key_unique",), "99"),
    }
    assert (0, "N") not in {(row["number"], row["shop"]) for row in shop.rows("raw/orders", FIRST)}


def test_same_key_in_two_nights_is_no_duplicate(shop: Shop) -> None:
    assert len(shop.rows("raw/orders")) == 16


def test_beyond_the_tolerance_the_night_stops_and_the_quarantine_shows_why(shop: Shop) -> None:
    bad = [f"N,{i},2000,2013-04-01T01:00:00Z" for i in range(20, 24)]
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), *bad]})
    error = assert_stops(shop, ContractError, "raw/orders, night 2013-04-01: 4 of 12 rows rejected")
    assert "most by amount_between (4 rows: amount is outside 0 to 1000 euros)" in error.what
    assert error.where.startswith(f"{shop.lake}/data_docs/shop/validations/raw_orders/")
    assert error.how_many == 4
    assert "then clear the task" in error.fix
    assert [rules for _, rules, _ in shop.rejected(FIRST)] == [["amount_between"]] * 4


def test_tolerance_of_the_source_decides(shop: Shop) -> None:
    bad = [f"N,{i},2000,2013-04-01T01:00:00Z" for i in range(20, 24)]
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), *bad]})
    assert shop.ingest(use_case=tolerant(0.4)).rows_rejected == 4


def test_stop_night_rule_stops_at_one_row(shop: Shop) -> None:
    shop.land(FIRST, {"prices.csv": ["A,1.5", "B,101"]})
    assert_stops(shop, ContractError, r"raw/prices, night 2013-04-01: 1 of 2 .* price_between stops the night")
    assert shop.rejected(FIRST) == [("raw/prices", ["price_between"], {"item": "B", "price": "101"})]


FIELD = st.sampled_from(["N", "S", "W", "NA", "", "0", "1", "7", "-5", "1e9", "2013-04-01T02:00:00Z", "x,y", '5"'])


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(lines=st.lists(st.lists(FIELD, min_size=1, max_size=6).map(",".join), min_size=1, max_size=25))
def test_rows_in_are_rows_out_and_rejected_whatever_lands(shop: Shop, lines: list[str]) -> None:
    lines = [line if line.strip() else "NA" for line in lines]
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), *lines]})
    result = shop.ingest(use_case=tolerant(1.0))
    assert result.rows_in == 8 + len(lines) + 3
    assert result.rows_in == result.rows_out + result.rows_rejected
    kept, rejected = shop.rows("raw/orders", FIRST), shop.rejected(FIRST)
    assert len(kept) + len(rejected) == 8 + len(lines)
    assert all(0 <= row["amount"] <= 1000 for row in kept if row["amount"] is not None)
    assert len({(row["shop"], row["number"]) for row in kept}) == len(kept)
    assert all(rules for _, rules, _ in rejected)
