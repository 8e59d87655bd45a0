"""A table's rows are equal for every way of reading, and unreadable files are named."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from tests.deletion_vectors import delete_rows

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.lake.maintenance import maintain
from nightjar.lake.parquet import write_files
from nightjar.lake.rows import arrow_source, read_rows
from nightjar.lake.scan import scan
from nightjar.protocol.errors import LakeError

TABLE = TableSchema(
    name="raw/t", comment="x", columns=(DS, Column("id", "long", "id"), Column("at", "timestamp", "at")), key=("id",)
)
FIRST, SECOND = date(2026, 1, 2), date(2026, 1, 3)
LAST_MICROSECOND = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z."""


def commit(lake: Lake, ids: list[int], night: date = FIRST, at: list[int | None] | None = None) -> int:
    schema = delta.arrow_schema(TABLE)
    moments = pa.array(at or [None] * len(ids), pa.int64()).cast(schema.field("at").type)
    batch = pa.RecordBatch.from_arrays(
        [pa.array([night] * len(ids)), pa.array(ids, pa.int64()), moments], schema=schema
    )
    written = write_files(iter([batch]), lake.table(TABLE).uri, schema, ("ds",))
    return lake.table(TABLE).commit(written, [night], run_id="r")


def delete(lake: Lake, rows: list[int]) -> Path:
    (file,) = active_files(lake.table(TABLE).open(), {"ds": [str(FIRST)]})
    return delete_rows(lake.table(TABLE).uri, file.path, rows)


READERS: dict[str, Callable[[Lake], list[int]]] = {
    "read_nights": lambda lake: lake.table(TABLE).read_nights([FIRST, SECOND], ["id"])["id"].to_pylist(),
    "read_rows": lambda lake: read_rows(lake.table(TABLE).open())["id"].to_pylist(),
    "DuckDB": lambda lake: by_duckdb(lake, "SELECT id FROM t"),
    "DuckDB, filtered": lambda lake: by_duckdb(lake, "SELECT id FROM t WHERE ds IN ('2026-01-02', '2026-01-03')"),
    "scan": lambda lake: by_scan(lake),
}


def by_duckdb(lake: Lake, query: str) -> list[int]:
    with duckdb.connect() as connection:
        connection.register("t", arrow_source(lake.table(TABLE).open()))
        return [row[0] for row in connection.sql(query).fetchall()]


def by_scan(lake: Lake) -> list[int]:
    planned = scan(lake.table(TABLE).open(), lake.table(TABLE).uri, {})
    batches = [batch for unit in planned.units for batch in planned.reader.read(unit, ["id"], batch_rows=2)]
    ids: list[int] = pa.Table.from_batches(batches)["id"].to_pylist()
    assert planned.rows == len(ids)
    return ids


@pytest.mark.parametrize("reader", READERS)
def test_deleted_rows_are_not_read(lake: Lake, reader: str) -> None:
    commit(lake, [1, 2, 3, 4])
    commit(lake, [9], SECOND)
    delete(lake, [0, 2])
    assert sorted(READERS[reader](lake)) == [2, 4, 9]
    table = lake.table(TABLE).open()
    assert delta.rows_by_night(table, [FIRST, SECOND]) == {FIRST: 2, SECOND: 1}


def test_a_night_of_which_rows_were_deleted_is_whole_again_when_it_is_committed_again(lake: Lake) -> None:
    version = commit(lake, [1, 2])
    delete(lake, [0])
    assert commit(lake, [1, 2]) == version + 2
    assert sorted(READERS["read_nights"](lake)) == [1, 2]
    removed = Path(lake.table(TABLE).uri, "_delta_log", f"{version + 2:020d}.json").read_text()
    assert '"deletionVector":{' in removed  # without it, readers would keep the replaced file


def test_maintenance_leaves_deletion_vectors_however_old(lake: Lake) -> None:
    commit(lake, [1, 2])
    vector = delete(lake, [0])
    leftover = Path(lake.table(TABLE).uri, f"ds={FIRST}", "part-forgotten.parquet")
    leftover.write_bytes(b"x")
    for path in (vector, leftover):
        os.utime(path, (time.time() - 40 * 86_400,) * 2)
    done = maintain(lake.table(TABLE))
    assert done is not None
    assert done.removed == 1
    assert not leftover.exists()
    assert READERS["read_rows"](lake) == [2]


@pytest.mark.parametrize("gone", ["deletion vector", "data file", "data file without statistics"])
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_gone_is_named(lake: Lake, reader: str, gone: str) -> None:
    commit(lake, [1, 2])
    if gone == "deletion vector":
        lost = delete(lake, [0])
    else:
        (file,) = active_files(lake.table(TABLE).open(), {})
        lost = Path(file.uri)
    if gone == "data file without statistics":
        drop_statistics(lake)
    lost.unlink()
    with pytest.raises((LakeError, duckdb.Error)) as caught:
        READERS[reader](lake)
    assert lost.name in str(caught.value)
    assert isinstance(caught.value, LakeError) or reader.startswith("DuckDB")


def drop_statistics(lake: Lake) -> None:
    for log in Path(lake.table(TABLE).uri, "_delta_log").glob("*.json"):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        for line in lines:
            line.get("add", {}).pop("stats", None)
        log.write_text("\n".join(map(json.dumps, lines)))


def test_rows_are_counted_in_files_without_statistics(lake: Lake) -> None:
    commit(lake, [1, 2, 3])
    drop_statistics(lake)
    assert delta.rows_by_night(lake.table(TABLE).open(), [FIRST]) == {FIRST: 3}


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"{}"])
def test_a_file_that_is_not_what_the_log_says_is_named(lake: Lake, content: bytes) -> None:
    commit(lake, [1, 2])
    (file,) = active_files(lake.table(TABLE).open(), {})
    Path(file.uri).write_bytes(content)
    for reader in ("read_nights", "scan"):
        with pytest.raises(LakeError, match="cannot be read"):
            READERS[reader](lake)


def test_a_table_that_is_not_partitioned_by_night_has_no_empty_nights(lake: Lake) -> None:
    write_deltalake(lake.table(TABLE).uri, pa.table({"ds": [FIRST], "id": [1]}))
    with pytest.raises(LakeError, match="partitioned by nothing, not by ds"):
        delta.rows_by_night(lake.table(TABLE).open(), [FIRST])


def test_odd_partition_values_are_distinguished(lake: Lake) -> None:
    places = ["a b", "c/d=e%", "ü 日本", "%41", "x#y?z", "[b]{c,d}*", "None", None]
    rows = pa.table({"place": pa.array(places), "id": range(8)})
    write_deltalake(lake.table(TABLE).uri, rows, partition_by=["place"])
    table = lake.table(TABLE).open()
    for number, place in enumerate(places):
        assert read_rows(table, ["id"], {"place": [place or ""]})["id"].to_pylist() == [number]
    assert sorted(read_rows(table)["place"].to_pylist(), key=repr) == sorted(places, key=repr)
    assert all(Path(file.uri).is_file() for file in active_files(table, {}))


def test_maintenance_removes_leftovers_in_odd_folders(lake: Lake) -> None:
    leftover = Path(lake.table(TABLE).uri, "ds=2026-01-02", "a b%20ü.parquet")
    commit(lake, [1])
    leftover.write_bytes(b"x")
    os.utime(leftover, (time.time() - 40 * 86_400,) * 2)
    done = maintain(lake.table(TABLE))
    assert done is not None
    assert (done.removed, leftover.exists()) == (1, False)


FAR = {
    "the last microsecond": [LAST_MICROSECOND, 0],
    "the year 10000": [LAST_MICROSECOND + 1, 0],
    "the last that fits": [2**63 - 1, 0],
    "the year 0": [-62_135_596_800_000_001, 0],
    "the first that fits": [-(2**63), 0],
}


@pytest.mark.parametrize("kind", FAR)
def test_a_moment_beyond_pythons_years_is_written_without_a_bound_and_read(lake: Lake, kind: str) -> None:
    commit(lake, [1, 2], at=FAR[kind])
    table = lake.table(TABLE).open()
    read = read_rows(table)
    assert dict(zip(read["id"].to_pylist(), read["at"].cast("int64").to_pylist(), strict=True)) == {
        1: FAR[kind][0], 2: 0
    }  # fmt: skip
    log = Path(lake.table(TABLE).uri, "_delta_log", f"{table.version():020d}.json").read_text()
    (stats,) = (json.loads(json.loads(line)["add"]["stats"]) for line in log.splitlines() if "add" in json.loads(line))
    assert "at" not in stats["minValues"] | stats["maxValues"]
    assert stats["maxValues"]["id"] == 2
    assert commit(lake, [1, 2], at=FAR[kind]) == table.version()
    maintain(lake.table(TABLE))


def test_a_date_beyond_pythons_years_is_written_without_a_bound(lake: Lake) -> None:
    schema = pa.schema([("ds", pa.date32()), ("day", pa.date32())])
    days = pa.array([2_932_897, 0], pa.int32()).cast(pa.date32())  # 10000-01-01
    batch = pa.RecordBatch.from_arrays([pa.array([FIRST, FIRST]), days], schema=schema)
    (file,) = write_files(iter([batch]), f"{lake}/raw/days", schema, ("ds",))
    assert json.loads(file.stats)["maxValues"] == {}
    assert pq.read_metadata(f"{lake}/raw/days/{file.path}").num_rows == 2
