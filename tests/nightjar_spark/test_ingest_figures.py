"""Figures of what landed, and rules and warnings that compare a night with earlier ones."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.declarations import with_fields
from tests.landed_nights import ORDERS, PRICES, SHOP, orders_of, write_manifest
from tests.nightjar_spark.shop_lake import FIRST, Shop

from nightjar.declaration.rules import volume
from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import data_findings
from nightjar.protocol.errors import ContractError

pytestmark = pytest.mark.spark


def read_figures(shop: Shop, night: date) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["table_name"], row["column_name"]): row for row in shop.rows("monitoring/landing", night)}


def test_figures_of_what_landed_are_kept_for_the_next_nights(shop: Shop) -> None:
    found = read_figures(shop, FIRST)
    assert (found["raw/orders", ""]["rows"], found["raw/orders", ""]["nulls"]) == (8, 0)
    amount = found["raw/orders", "amount"]
    assert (amount["mean"], amount["minimum"], amount["maximum"], amount["distinct_values"]) == (13.5, 10, 17, 8)
    assert json.loads(found["raw/orders", "shop"]["categories"]) == {"N": 0.5, "S": 0.5}
    assert found["raw/orders", "placed_at"]["maximum"] == 7.5  # hours since the night's first midnight
    assert found["raw/prices", "price"]["nulls"] == 1


def ingest_history(shop: Shop, nights: int = 20) -> date:
    """Land and ingest a number of ordinary nights; return the next night."""
    after = FIRST + timedelta(days=nights)
    for night in (FIRST + timedelta(days=i) for i in range(nights)):
        lines = [f"{'NS'[i % 2]},{i},{10 + i + night.day % 3 / 10},{night}T{i:02d}:30:00Z" for i in range(20)]
        shop.land(night, {"orders.csv": lines})
    shop.ingest(FIRST, after - timedelta(days=1), use_case=WATCHED)
    return after


WATCHED = with_fields(SHOP, data={"sources": (replace(ORDERS, night_rules=(volume(0.6, 1.6),)), PRICES)})


def test_a_rule_of_nights_stops_the_night_and_leaves_its_warning_and_page(shop: Shop) -> None:
    night = ingest_history(shop)
    shop.land(night, {"orders.csv": orders_of(night)})
    before = shop.versions()
    with pytest.raises(ContractError) as caught:
        shop.ingest(night, use_case=WATCHED)
    assert caught.value.what == (
        f"raw/orders, night {night}: raw/orders: rows 8 rows, expected 12 to 32; usually 20 "
        "(the night is truncated, duplicated, or another night's data)"
    )
    assert "rows 8 rows, expected 12 to 32" in Path(caught.value.where).read_text()
    assert shop.versions() == before
    (stop,) = [row for row in shop.rows("monitoring/warnings", night) if row["severity"] == "stop_night"]
    assert (stop["rule"], stop["observed"], stop["low"], stop["high"], stop["usual"]) == ("volume", 8, 12, 32, 20)
    assert read_figures(shop, night) == {}  # a refused night says nothing of what is usual


def test_undeclared_columns_and_anomalies_warn_and_the_night_continues(shop: Shop) -> None:
    night = ingest_history(shop)
    lines = [f"{'NS'[i % 2]},{i},{500 + i},{night}T{i:02d}:30:00Z" for i in range(20)]
    folder = shop.land(night, {"orders.csv": lines})
    prices = (folder / "prices.csv").read_text().splitlines()
    (folder / "prices.csv").write_text("".join(f"{line},{'x' if i else 'note'}\n" for i, line in enumerate(prices)))
    write_manifest(folder)
    result = shop.ingest(night, use_case=WATCHED)
    assert result.rows_out == 23
    warned = {(row["column_name"], row["figure"]) for row in shop.rows("monitoring/warnings", night)}
    assert {("amount", "mean"), ("amount", "p50"), ("note", "unknown_column"), ("", "price_known")} <= warned
    findings = {(finding.kind, finding.subject): finding for finding in data_findings(Lake(shop.lake), "shop", night)}
    assert findings.keys() == {("data", "raw/orders"), ("data", "raw/prices"), ("contract", "raw/prices")}
    orders = findings["data", "raw/orders"]
    assert orders.severity_ratio > 1
    assert orders.severity == "warn"
    assert "raw/orders.amount: " in orders.what
    assert "; and " in orders.what
    assert findings["contract", "raw/prices"].what == "raw/prices.note: undeclared column; it was not read"
    assert shop.ingest(night, use_case=WATCHED).warnings == result.warnings
