"""Tables as Spark writes them, with all that its Delta can do, are read as Spark reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from nightjar.lake.scan import scan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def check(spark: SparkSession, uri: str, columns: list[str], unit_bytes: int) -> int:
    found = scan(DeltaTable(uri), uri, {}, unit_bytes=unit_bytes)
    read = [
        tuple(row.values())
        for unit in found.units
        for batch in found.reader.read(unit, columns, batch_rows=7)
        for row in batch.to_pylist()
    ]
    by_spark = [tuple(row) for row in spark.read.format("delta").load(uri).select(*columns).collect()]
    assert sorted(read, key=repr) == sorted(by_spark, key=repr)
    assert found.rows == len(read)
    return len(found.units)


def test_deletion_vectors_odd_partition_values_and_columns_that_came_later(spark: SparkSession, lake: str) -> None:
    table = f"delta.`{lake}/t`"
    spark.sql(
        f"create table {table} (ds date, place string, id long, x double) using delta partitioned by (ds, place) "
        "tblproperties ('delta.enableDeletionVectors' = 'true')"
    )
    place = "case id % 3 when 0 then 'a b/c=d%' when 1 then null else 'ü' end"
    rows = f"select date'2026-01-02', {place}, id, id * 1.5"
    spark.sql(f"insert into {table} {rows} from range(0, 100, 1, 1)")
    spark.sql(f"delete from {table} where id % 7 = 0")
    spark.sql(f"alter table {table} add column (extra string)")
    spark.sql(f"insert into {table} {rows}, 'new' from range(100, 130, 1, 1)")
    assert check(spark, f"{lake}/t", ["extra", "x", "id", "place", "ds"], 1 << 20) == 3
    assert check(spark, f"{lake}/t", ["id"], 1) == 6


def test_a_deletion_vector_over_split_row_groups(spark: SparkSession, lake: str) -> None:
    table = f"delta.`{lake}/t`"
    spark.sql(f"create table {table} (ds date, id long) using delta partitioned by (ds) "
              "tblproperties ('delta.enableDeletionVectors' = 'true')")  # fmt: skip
    spark.conf.set("parquet.block.row.count.limit", "100")
    try:
        spark.sql(f"insert into {table} select date'2026-01-02', id from range(0, 1000, 1, 1)")
    finally:
        spark.conf.unset("parquet.block.row.count.limit")
    spark.sql(f"delete from {table} where id between 95 and 320 or id = 999")
    assert check(spark, f"{lake}/t", ["id", "ds"], 1) == 10


def test_renamed_and_dropped_columns(spark: SparkSession, lake: str) -> None:
    table = f"delta.`{lake}/t`"
    spark.sql(f"create table {table} (ds date, id long, x double, at timestamp, y int) using delta partitioned by (ds) "
              "tblproperties ('delta.columnMapping.mode' = 'name')")  # fmt: skip
    rows = "select date'2026-01-02', id, id * 1.5, timestamp'2026-01-02 03:04:05', 1 from range(0, 10, 1, 1)"
    spark.sql(f"insert into {table} {rows}")
    spark.sql(f"alter table {table} rename column x to z")
    spark.sql(f"alter table {table} drop column y")
    uri = f"{lake}/t"
    found = scan(DeltaTable(uri), uri, {"ds": ["2026-01-02"]})
    (unit,) = found.units
    (batch,) = found.reader.read(unit, ["z", "id", "at"], batch_rows=100)
    expected = spark.read.format("delta").load(uri).selectExpr("z", "id", "unix_micros(at)").collect()
    micros = batch.column("at").cast("int64").to_pylist()
    assert list(zip(batch["z"].to_pylist(), batch["id"].to_pylist(), micros, strict=True)) == [
        tuple(r) for r in expected
    ]


def test_a_column_whose_type_has_grown(spark: SparkSession, lake: str) -> None:
    table = f"delta.`{lake}/t`"
    spark.sql(f"create table {table} (ds date, id int, x float) using delta partitioned by (ds) "
              "tblproperties ('delta.enableTypeWidening' = 'true')")  # fmt: skip
    spark.sql(f"insert into {table} select date'2026-01-02', id, id * 1.5 from range(0, 10, 1, 1)")
    spark.sql(f"alter table {table} alter column id type bigint")
    spark.sql(f"alter table {table} alter column x type double")
    spark.sql(f"insert into {table} select date'2026-01-02', id + 5000000000, id / 3 from range(0, 10, 1, 1)")
    assert check(spark, f"{lake}/t", ["id", "x", "ds"], 1 << 20) == 1
