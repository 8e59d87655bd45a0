"""The small use case's lake, ingested once for all tests of Spark programs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.landed_nights import NIGHTS, SHOP, land_night, shop_spec
from tests.nightjar_spark.shop_lake import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def ingested_shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``landing`` and ``lake``, both nights landed and ingested; tests work on copies."""
    from nightjar_spark.ingest import ingest

    root = tmp_path_factory.mktemp("ingested")
    for night in NIGHTS:
        land_night(root / "landing", night)
    ingest(spark, shop_spec("ingest", str(root / "lake"), *NIGHTS), SHOP, str(root / "landing"))
    return root


@pytest.fixture
def shop(spark: SparkSession, ingested_shop: Path, tmp_path: Path) -> Shop:
    """Both nights landed and ingested: the last good tables."""
    shutil.copytree(ingested_shop, tmp_path, dirs_exist_ok=True)
    return Shop(spark, tmp_path)
