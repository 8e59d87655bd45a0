"""Nights become raw tables: reruns, corrections, real nights, and what stops before anything is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.declarations import with_fields
from tests.landed_nights import ORDERS, PRICES, SHOP, orders_of
from tests.nightjar_spark.shop_lake import FIRST, RAW, SECOND, Shop
from tests.small_disk import fill, small_disk

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_nights
from nightjar.protocol.errors import ConfigurationError, ContractError, StorageFullError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import SourceRows
from nightjar_spark.worker_errors import from_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_clean_nights_become_raw_tables(shop: Shop) -> None:
    result = shop.ingest(FIRST, SECOND)
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (22, 22, 0)
    assert result.sources["orders"] == SourceRows(rows_in=16, rows_out=16, rows_rejected=0, broken_rules={})
    assert result.outputs == {**shop.versions(), "quarantine/shop": 1}
    row = shop.rows("raw/orders", FIRST)[0]
    written = datetime.fromtimestamp((shop.landing / "shop/2013-04-01/orders.csv").stat().st_mtime, UTC)
    assert row == {
        "shop": "N",
        "number": 0,
        "amount": 10.0,
        "placed_at": datetime(2013, 4, 1, 0, 30, tzinfo=UTC),
        "source_file": "shop/2013-04-01/orders.csv",
        "landed_at": row["landed_at"],
        "ds": FIRST,
    }
    assert abs(row["landed_at"] - written) < timedelta(milliseconds=1)
    assert shop.rejected() == []


def test_rerun_gives_the_same_rows_and_no_new_version(shop: Shop) -> None:
    before, versions = {name: shop.rows(name) for name in RAW}, shop.versions()
    shop.ingest(FIRST, SECOND)
    assert {name: shop.rows(name) for name in RAW} == before
    assert shop.versions() == versions


def test_interval_in_the_future_is_refused(shop: Shop) -> None:
    versions = shop.versions()
    with pytest.raises(ConfigurationError, match="reaches into the future"):
        shop.ingest(FIRST, datetime.now(UTC).date() + timedelta(days=1))
    assert shop.versions() == versions


def test_corrected_night_replaces_exactly_that_night(shop: Shop) -> None:
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST), "W,9,20,2013-04-01T01:00:00Z"]})
    shop.land(SECOND, {"orders.csv": [*orders_of(SECOND), "W,9,20,2013-04-02T01:00:00Z"]})
    shop.ingest(FIRST, SECOND)
    other = {name: shop.rows(name, SECOND) for name in (*RAW, "quarantine/shop")}
    shop.land(FIRST, {"orders.csv": [*orders_of(FIRST, 5), "S,9,20,2013-04-01T01:00:00Z"]})
    shop.ingest(FIRST)
    assert sorted(row["number"] for row in shop.rows("raw/orders", FIRST)) == [0, 1, 2, 3, 4, 9]
    assert shop.rejected(FIRST) == []
    assert len(shop.rejected(SECOND)) == 1
    assert {name: shop.rows(name, SECOND) for name in other} == other


def test_full_disk_stops_with_what_to_do_and_leaves_the_tables(shop: Shop, spark: SparkSession, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 32 * 1024) as disk:
        tight = Shop(spark, disk)
        tight.landing = shop.landing
        tight.ingest()
        before, versions = {name: tight.rows(name) for name in RAW}, tight.versions()
        filler = fill(disk)
        with pytest.raises(StorageFullError, match=r"no space left .* do: free space"), from_workers():
            tight.ingest()
        filler.unlink()
        assert tight.versions() == versions
        assert {name: tight.rows(name) for name in RAW} == before


def test_real_nights_of_flights(spark: SparkSession, tmp_path: Path) -> None:
    from nightjar.protocol.nights import Nights
    from nightjar_spark.ingest import ingest
    from use_cases.flight_delay.landing import land
    from use_cases.flight_delay.use_case import USE_CASE

    first, last = date(2013, 3, 9), date(2013, 3, 11)  # clocks go forward on the 10th: 23 hours of weather
    landing = str(tmp_path / "landing")
    land(Nights(first=first, last=last, timezone=USE_CASE.schedule.timezone), landing)
    lake = str(tmp_path / "lake")
    spec = JobSpec(
        program="ingest",
        use_case="flight_delay",
        first_night=first,
        last_night=last,
        dag_id="flight_delay_history",
        run_id="manual__1",
        task_id="ingest",
        lake=lake,
    )
    result = ingest(spark, spec, USE_CASE, landing)
    assert result.rows_rejected == 0
    assert result.rows_in == result.rows_out
    weather = read_nights(Lake(lake).open_table("raw/weather"), [date(2013, 3, 10)]).to_pylist()
    assert len(weather) == 23 * 3
    flights = read_nights(Lake(lake).open_table("raw/flights"), [last]).to_pylist()
    schedule = read_nights(Lake(lake).open_table("raw/schedule"), [date(2013, 3, 10)]).to_pylist()
    key = ("carrier", "flight", "origin")
    assert {tuple(row[k] for k in key) for row in flights} == {tuple(row[k] for k in key) for row in schedule}


def test_a_contract_that_breaks_its_readers_stops_before_anything_is_read(shop: Shop) -> None:
    columns = tuple(replace(c, unit="cents") if c.name == "amount" else c for c in ORDERS.table.columns)
    changed = with_fields(
        SHOP, data={"sources": (replace(ORDERS, table=replace(ORDERS.table, columns=columns)), PRICES)}
    )
    before = shop.versions()
    with pytest.raises(ContractError, match=r"raw/orders\.amount: unit none -> cents"):
        shop.ingest(use_case=changed)
    assert shop.versions() == before
    assert shop.ingest(use_case=with_fields(changed, data={"contract_version": 2})).status == "succeeded"
    (*_, last) = ledger.read(Lake(shop.lake), event="contract").to_pylist()
    assert last["reason"] == "raw/orders.amount: unit none -> cents"
