from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime

import pytest
from tests.landed_nights import NIGHTS, ORDERS, PRICES

from nightjar.protocol.errors import ContractError, RowCountError
from nightjar.validation.expectations import TableCheck, validate
from nightjar.validation.landing import LandedFile
from nightjar.validation.night_count import NightCount
from nightjar.validation.table_rules import source_rules
from nightjar.validation.tolerance import check_rows_read, stop_if_refused

SITE = tempfile.mkdtemp(prefix="data_docs_")


def check(orders: list[NightCount], prices: list[NightCount] | None = None) -> None:
    """Validate with Great Expectations, like ingest."""
    checks = [
        TableCheck(
            table=source.table.name,
            rules=source_rules(source),
            counts=counts,
            nights=[count.night for count in counts],
            max_rejected_share=source.max_rejected_share,
        )
        for source, counts in ((ORDERS, orders), (PRICES, prices or []))
        if counts
    ]
    verdict = validate(checks, site=SITE, run_name="run")
    stop_if_refused(verdict, (ORDERS, PRICES), docs="/lake/data_docs/shop")


def count(night: date, rows: int, rejected: int, **broken: int) -> NightCount:
    return NightCount(night=night, rows=rows, rejected=rejected, broken=broken)


def test_share_at_the_tolerance_passes() -> None:
    check([count(NIGHTS[0], 100, 25, amount_between=25)])


def test_share_above_it_names_night_rule_and_counts() -> None:
    with pytest.raises(ContractError) as caught:
        check([count(NIGHTS[0], 100, 0), count(NIGHTS[1], 100, 26, amount_between=20, shop_one_of=8)])
    assert caught.value.what == (
        "raw/orders, night 2013-04-02: 26 of 100 rows rejected (26.0%; tolerated: 25.0%), "
        "most by amount_between (20 rows: amount is outside 0 to 1000 euros)"
    )
    assert caught.value.where.startswith("/lake/data_docs/shop/validations/raw_orders/run/")
    assert caught.value.how_many == 26
    assert "max_rejected_share" in caught.value.fix


def test_one_night_beyond_it_stops_whatever_the_interval_says() -> None:
    nights = [count(NIGHTS[0].replace(day=day), 1000, 0) for day in range(2, 30)]
    with pytest.raises(ContractError, match="night 2013-04-01"):
        check([count(NIGHTS[0], 10, 9, key_unique=9), *nights])


def test_stop_night_rule_stops_at_its_first_row() -> None:
    with pytest.raises(ContractError, match=r"price_between stops the night at the first row\), most by price_between"):
        check([], [count(NIGHTS[0], 1000, 9, price_between=1, item_not_null=8)])


def test_warning_never_stops() -> None:
    check([count(NIGHTS[0], 10, 0)], [count(NIGHTS[0], 10, 0, price_known=10)])


def test_many_problems_are_counted_and_five_named() -> None:
    with pytest.raises(ContractError) as caught:
        check([count(NIGHTS[0].replace(day=day), 4, 4, key_unique=4) for day in range(1, 9)])
    assert caught.value.how_many == 32
    assert caught.value.what.endswith("; and 3 more")


def landed(rows: int) -> LandedFile:
    return LandedFile(
        source="orders",
        night=NIGHTS[0],
        uri="/landing/shop/2013-04-01/orders.csv",
        rows=rows,
        header=(),
        unknown=(),
        landed_at=datetime(2013, 4, 2, tzinfo=UTC),
    )


def test_rows_read_must_be_the_manifests() -> None:
    check_rows_read([landed(8)], {"orders": [count(NIGHTS[0], 8, 3)]})
    with pytest.raises(RowCountError, match=r"9 rows were read of orders.csv of night 2013-04-01.*promises 8"):
        check_rows_read([landed(8)], {"orders": [count(NIGHTS[0], 9, 3)]})


def test_night_of_which_nothing_was_read_is_a_difference() -> None:
    with pytest.raises(RowCountError, match="0 rows were read"):
        check_rows_read([landed(8)], {"orders": []})
