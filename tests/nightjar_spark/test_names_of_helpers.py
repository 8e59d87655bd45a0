"""Columns that are named like the programs' own, now or once, are columns like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.landed_nights import NIGHTS, ORDERS, SHOP, land_night, shop_spec, write_manifest

from nightjar.declaration.data import Source
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.rules import between, not_null
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.lake.rows import read_nights
from nightjar.monitoring.profiles.profile import ProfiledColumn

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
NIGHT = NIGHTS[0]
TEXTS = ("text", "malformed_line", "problem", "source_table", "table_name", "row_json", "rules", "night", "variable")
NUMBERS = ("rows_of_key", "broken_rules", "line_number", "value", "bin", "count", "rows", "positives", "joined", "c0",
           "malformed", "strange", "hash", "line", "landed", "scored", "side", "first", "moved")  # fmt: skip


def _columns() -> tuple[Column, ...]:
    return (
        *(Column(name, "string", "A text.") for name in TEXTS),
        *(Column(name, "double", "A number.") for name in NUMBERS),
    )


ENTITY = Entity(
    key=(
        Column("text", "string", "A key.", nullable=False),
        Column("rows_of_key", "double", "A key.", nullable=False),
    )
)
SOURCE = Source(
    file="orders.csv",
    table=TableSchema(
        name="raw/orders",
        comment="Orders.",
        key=("text", "rows_of_key"),
        columns=(DS, *_columns(), *LANDED),
    ),
    rules=(not_null("malformed_line"), between("broken_rules", 0, 100, unit="pieces")),
    max_rejected_share=0.9,
)
NAMED: UseCase = replace(
    SHOP,
    data=replace(SHOP.data, sources=(SOURCE, *(source for source in SHOP.data.sources if source is not ORDERS))),
    entity=ENTITY,
    features=FeatureSet(
        columns=tuple(Feature(name, "numeric", "A number.") for name in NUMBERS[1:]),
        rules=(between("value", 0, 100, unit="pieces"),),
    ),
)


def fields(i: int, **changed: str) -> dict[str, str]:
    """A record: texts ``<name> <i>``, and ``i`` as each number."""
    return {**{name: f"{name} {i}" for name in TEXTS}, **dict.fromkeys(NUMBERS, f"{i}.0"), **changed}


def test_such_columns_are_ingested_rejected_and_validated_under_their_names(spark: SparkSession, lake: str) -> None:
    from nightjar_spark.ingest import ingest
    from nightjar_spark.validate_features import validate_features

    landing = Path(lake).parent / "landing"
    folder = land_night(landing, NIGHT)
    records = [fields(i) for i in range(5)] + [fields(3), fields(6, broken_rules="101"), fields(7, count="seven")]
    lines = [",".join(fields(0)), *(",".join(record.values()) for record in records), "too,short"]
    (folder / "orders.csv").write_text("\n".join(lines) + "\n")
    write_manifest(folder)

    ingest(spark, shop_spec("ingest", lake, NIGHT, NIGHT), NAMED, str(landing))

    rows = read_nights(Lake(lake).open_table("raw/orders"), [NIGHT]).to_pylist()
    kept = {row["rows_of_key"]: row for row in rows}
    assert sorted(kept) == [0, 1, 2, 4]
    assert {name: kept[4.0][name] for name in (*TEXTS, *NUMBERS)} == {
        **{name: f"{name} 4" for name in TEXTS}, **dict.fromkeys(NUMBERS, 4.0),
    }  # fmt: skip
    quarantine = read_nights(Lake(lake).open_table("quarantine/shop"), [NIGHT]).to_pylist()
    by_rule = sorted((tuple(row["rules"]), json.loads(row["row_json"]).get("text")) for row in quarantine)
    assert by_rule == [
        (("broken_rules_between",), "text 6"),
        (("count_parses",), "text 7"),
        (("key_unique",), "text 3"),
        (("key_unique",), "text 3"),
        (("well_formed_line", "text_not_null", "rows_of_key_not_null", "malformed_line_not_null"), None),
    ]

    schema = delta.arrow_schema(NAMED.feature_table)
    features = [{**row, "ds": NIGHT} for row in rows]
    uri = Lake(lake).table(NAMED.feature_table).uri
    table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in features], schema=schema)
    written = write_files(iter(table.to_batches()), uri, schema, ("ds",))
    Lake(lake).table(NAMED.feature_table).commit(written, [NIGHT], run_id="r")
    assert validate_features(spark, shop_spec("validate_features", lake, NIGHT, NIGHT), NAMED).rows_out == 4


def test_such_columns_are_profiled_under_their_names(spark: SparkSession) -> None:
    from nightjar_spark.profiling import fix_bins, profile_nights

    rows = [(NIGHT, *(f"x{i}" for _ in TEXTS), *(float(i) for _ in NUMBERS)) for i in range(50)]
    types = [*(f"`{name}` string" for name in TEXTS), *(f"`{name}` double" for name in NUMBERS)]
    frame = spark.createDataFrame(rows, ", ".join(["ds date", *types]))
    columns = [
        *(ProfiledColumn(name, "categorical") for name in TEXTS),
        *(ProfiledColumn(name, "numeric") for name in NUMBERS),
    ]
    profile = profile_nights(frame, columns, fix_bins(frame, columns))[NIGHT]
    assert {name: column.rows for name, column in profile.columns.items()} == dict.fromkeys((*TEXTS, *NUMBERS), 50)
    assert {profile.columns[name].maximum for name in NUMBERS} == {49.0}
