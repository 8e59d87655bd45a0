"""What Spark writes on one machine is for its owner alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nightjar.local.server_environment import spark_connection

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_tables_that_spark_writes_are_readable_by_their_owner_alone(spark: SparkSession, lake: str) -> None:
    conf = json.loads(spark_connection(2, Path("none")))["extra"]["conf"]
    name = "spark.hadoop.fs.permissions.umask-mode"
    assert spark.conf.get(name) == conf[name], "the session of the tests is as users run it"
    rows = spark.range(3).selectExpr("id", "id % 2 AS night")
    rows.write.format("delta").partitionBy("night").save(f"{lake}/raw/t")
    written = [path for path in Path(lake, "raw").rglob("*")]
    assert {path.suffix for path in written if path.is_file()} >= {".parquet", ".json"}
    assert not [str(path) for path in written if path.stat().st_mode & 0o077]
