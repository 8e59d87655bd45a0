from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa

from nightjar.declaration.data import Data, Source
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Binary
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.monitoring.data_quality.volumes import Volume, count_volumes

RAW = TableSchema(name="raw/orders", comment="Orders.", key=("k",), columns=(DS, Column("k", "int", "Key."), *LANDED))
LANDED_FROM = {"source_file": "orders.csv", "landed_at": datetime(2013, 4, 4, tzinfo=UTC)}
SHOP = UseCase(
    name="shop",
    title="Shop",
    owner="me",
    schedule=Schedule(
        timezone="UTC",
        nightly="@daily",
        training="@weekly",
        first_night=date(2013, 1, 1),
    ),
    data=Data(
        sources=(Source(table=RAW, file="orders.csv"),),
        features_from="orders",
        labels_from="orders",
    ),
    entity=Entity(key=(Column("k", "int", "Key."),)),
    features=FeatureSet(columns=(Feature("x", "numeric", "X."),)),
    problem=Binary(),
    target=Target(label="l", prediction="p"),
    training=Training(),
    gate=Gate(floors={}),
)


def put(lake: Lake, schema: TableSchema, rows: list[dict[str, object]], night: date) -> None:
    target = delta.arrow_schema(schema)
    table = pa.Table.from_pylist([{"ds": night, **row} for row in rows], target)
    written = write_files(iter(table.to_batches()), lake.table(schema).uri, target, schema.partition_by)
    lake.table(schema).commit(written, [night], run_id="r")


def test_rows_rejected_and_usual_come_from_the_delta_log(lake: Lake) -> None:
    nights = [date(2013, 4, day) for day in (1, 2, 3)]
    for night, count in zip(nights, (4, 6, 9), strict=True):
        put(lake, RAW, [{"k": i, **LANDED_FROM} for i in range(count)], night)
    rejected = {"table_name": "raw/orders", "rules": ["k_not_null"], "row_json": "{}", "dag_run_id": "r"}
    put(lake, SHOP.quarantine_table, [rejected, rejected, {**rejected, "table_name": "features/shop"}], nights[2])
    assert count_volumes(lake, SHOP, nights[2], nights[:2]) == [
        Volume(table="raw/orders", rows=9, rejected=2, earlier=(4, 6))
    ]
    assert count_volumes(lake, SHOP, nights[0], []) == [Volume(table="raw/orders", rows=4, rejected=0)]


def test_a_night_without_rows_is_zero_not_missing(lake: Lake) -> None:
    put(lake, RAW, [{"k": 1, **LANDED_FROM}], date(2013, 4, 1))
    assert count_volumes(lake, SHOP, date(2013, 4, 2), [date(2013, 4, 1)])[0].rows == 0
