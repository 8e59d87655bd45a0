"""Whatever a table is like: every program that reads it has Spark's rows, or refuses and leaves it as it was.

``NIGHTJAR_TABLES`` says how many tables are drawn, ``NIGHTJAR_SEED`` which; ``make awkward-tables`` draws many others.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.awkward_tables import NIGHTS, TABLES, Awkward, awkward_tables, make

from nightjar.declaration.tables import TableSchema
from nightjar.lake import delta
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.lake.maintenance import maintain
from nightjar.lake.parquet import write_files
from nightjar.lake.rows import read_nights, read_rows
from nightjar.lake.scan import scan
from nightjar.local.query import connect
from nightjar.protocol.errors import LakeError, NightjarError
from nightjar_spark.io import read_table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
SEED = int(os.environ.get("NIGHTJAR_SEED", "17"))
Rows = Counter[tuple[Any, ...]]


def rows_of(table: pa.Table, schema: TableSchema) -> Rows:
    """The rows as a multiset; moments as their number, since Python's do not reach as far as Delta's."""
    columns = [table[name] for name in schema.column_names]
    values = [
        (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist() for column in columns
    ]
    return Counter(zip(*values, strict=True))


def rows_by_spark(spark: SparkSession, uri: str, schema: TableSchema) -> Rows:
    return rows_of(spark.read.format("delta").load(uri).toArrow(), schema)


def rows_by_scan(lake: str, schema: TableSchema) -> Rows:
    uri, names = Lake(lake).table(schema).uri, schema.column_names
    found = scan(Lake(lake).table(schema).open(), uri, {}, unit_bytes=1)
    batches = [batch for unit in found.units for batch in found.reader.read(unit, names, batch_rows=3)]
    read = rows_of(pa.Table.from_batches(batches), schema)
    assert found.rows == read.total()
    return read


def readers(spark: SparkSession, lake: str, schema: TableSchema) -> dict[str, Callable[[], Rows | int]]:
    """Every way in which the project reads a table, to its rows or to their number."""
    name, every_night = schema.name, list(NIGHTS)

    def by_query() -> int:
        with connect(Path(lake)) as connection:
            (count,) = connection.sql(f"SELECT count(*) FROM {name.replace('/', '.')}").fetchall()[0]
            return int(count)

    return {
        "read_rows": lambda: rows_of(read_rows(Lake(lake).open_table(name)), schema),
        "read_nights": lambda: rows_of(read_nights(Lake(lake).open_table(name), every_night), schema),
        "scan": lambda: rows_by_scan(lake, schema),
        "active_files": lambda: sum(file.rows for file in active_files(Lake(lake).open_table(name), {})),
        "rows_by_night": lambda: sum(delta.rows_by_night(Lake(lake).open_table(name), every_night).values()),
        "query": by_query,
        "read_table": lambda: rows_of(read_table(spark, Lake(lake), name).toArrow(), schema),
        "read_table, nights": lambda: rows_of(
            read_table(spark, Lake(lake), name, nights=every_night).toArrow(), schema
        ),
    }


def new_rows(schema: TableSchema) -> pa.Table:
    row = {"ds": NIGHTS[0], "place": "new", "id": 99, "name": "new"}
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.column_names}], delta.arrow_schema(schema))


def replace_first_night(lake: str, schema: TableSchema) -> None:
    arrow = delta.arrow_schema(schema)
    written = write_files(iter(new_rows(schema).to_batches()), Lake(lake).table(schema).uri, arrow, schema.partition_by)
    Lake(lake).table(schema).commit(written, [NIGHTS[0]], run_id="r")


def log_of(uri: str) -> list[str]:
    return sorted(path.name for path in Path(uri, "_delta_log").iterdir() if path.name[0] == "0")


@seed(SEED)
@settings(
    max_examples=TABLES, database=None, phases=[Phase.generate], print_blob=False,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(awkward=awkward_tables)
def test_every_program_has_sparks_rows_or_refuses_and_leaves_the_table(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, awkward: Awkward
) -> None:
    print(f"NIGHTJAR_SEED={SEED} {awkward}")
    lake, schema = str(tmp_path_factory.mktemp("lake")), awkward.schema
    uri = make(awkward, spark, lake)
    if awkward.nanoseconds:  # Spark refuses the files
        expected = rows_of(Lake(lake).table(schema).read_nights(NIGHTS), schema)
    else:
        expected = rows_by_spark(spark, uri, schema)
    refused = []
    for name, read in readers(spark, lake, schema).items():
        if awkward.nanoseconds and name.startswith("read_table"):
            continue
        try:
            found = read()
        except NightjarError as error:
            refused.append(f"{name}: {error.what}")
        else:
            assert found == (expected.total() if isinstance(found, int) else expected), name
    after = {
        "commit": Counter({row: count for row, count in expected.items() if row[0] != NIGHTS[0]})
        + rows_of(new_rows(schema), schema),
        "append": expected + rows_of(new_rows(schema), schema),
        "maintain": expected,
    }
    works: dict[str, Callable[[str], object]] = {
        "commit": lambda copy: replace_first_night(copy, schema),
        "append": lambda copy: Lake(copy).table(schema).append(new_rows(schema)),
        "maintain": lambda copy: maintain(Lake(copy).table(schema)),
    }
    for name, work in works.items():
        copy = str(tmp_path_factory.mktemp(name))
        shutil.copytree(lake, copy, dirs_exist_ok=True)
        there = Lake(copy).table(schema).uri
        log = log_of(there)
        try:
            work(copy)
        except LakeError as error:
            refused.append(f"{name}: {error.what}")
            assert log_of(there) == log, name
        if not awkward.nanoseconds:
            wanted = expected if log_of(there) == log else after[name]
            assert rows_by_spark(spark, there, schema) == wanted, name
    print("\n".join(refused))
    plain = not (awkward.mapping or awkward.widened or awkward.generated or awkward.clustered)
    assert not (plain and refused), "a table without such features is read and written"
