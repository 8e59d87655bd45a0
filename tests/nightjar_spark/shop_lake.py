"""The small use case's lake and landing, to ingest its nights again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.landed_nights import NIGHTS, SHOP, land_night, shop_spec

from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_nights
from nightjar.protocol.job import JobResult

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST, SECOND = NIGHTS
RAW = ("raw/orders", "raw/prices")


class Shop:
    """The small use case's lake and landing, and its ingest."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.spark = spark
        self.lake = str(root / "lake")
        self.landing = root / "landing"

    def ingest(self, first: date = FIRST, last: date | None = None, *, use_case: UseCase = SHOP) -> JobResult:
        from nightjar_spark.ingest import ingest

        spec = shop_spec("ingest", self.lake, first, last or first)
        return ingest(self.spark, spec, use_case, str(self.landing))

    def land(self, night: date = FIRST, lines: Mapping[str, Sequence[str]] | None = None) -> Path:
        return land_night(self.landing, night, lines)

    def rows(self, name: str, *nights: date) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_nights(Lake(self.lake).open_table(name), nights or NIGHTS).to_pylist()
        return sorted(found, key=lambda row: json.dumps(row, default=str))

    def versions(self) -> dict[str, int]:
        return {name: Lake(self.lake).open_table(name).version() for name in RAW}

    def rejected(self, *nights: date) -> list[tuple[str, list[str], dict[str, Any]]]:
        rows = self.rows("quarantine/shop", *nights)
        return [(row["table_name"], row["rules"], json.loads(row["row_json"])) for row in rows]


def assert_stops(shop: Shop, kind: type[Exception], match: str, *, use_case: UseCase = SHOP) -> Any:
    """Ingest the first night, see it stop with ``kind``, and see the raw tables as they were."""
    versions, rows = shop.versions(), {name: shop.rows(name) for name in RAW}
    with pytest.raises(kind, match=match) as caught:
        shop.ingest(use_case=use_case)
    assert shop.versions() == versions
    assert {name: shop.rows(name) for name in RAW} == rows
    return caught.value
