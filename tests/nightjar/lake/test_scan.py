"""Scans of a table's version read each row once, in order, for any layout of files."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.transaction import AddAction
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.lake.active_files import active_files
from nightjar.lake.scan import Scan, scan
from nightjar.protocol.errors import LakeError

NIGHT, NEXT = date(2026, 1, 2), date(2026, 1, 3)


def put(uri: str, rows: pa.Table, **options: Any) -> DeltaTable:
    write_deltalake(uri, rows, mode="append", partition_by=["ds"], **options)
    return DeltaTable(uri)


def rows_of(found: Scan, columns: list[str], batch_rows: int = 1000) -> list[dict[str, Any]]:
    batches = [batch for unit in found.units for batch in found.reader.read(unit, columns, batch_rows=batch_rows)]
    assert all(batch.num_rows <= batch_rows for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def numbers(first: int, last: int, night: date = NIGHT) -> pa.Table:
    count = last - first
    return pa.table({"ds": pa.array([night] * count, pa.date32()), "id": pa.array(range(first, last), pa.int64())})


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    group=st.integers(1, 40),
    unit_bytes=st.integers(1, 4000),
    batch_rows=st.integers(1, 50),
)
def test_units_hold_every_row_once_and_do_not_mix_nights(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int, unit_bytes: int, batch_rows: int
) -> None:
    uri = str(tmp_path_factory.mktemp("table"))
    first = 0
    for position, size in enumerate(sizes):
        write_rows(uri, numbers(first, first + size, (NIGHT, NEXT)[position % 2]), group)
        first += size
    found = scan(DeltaTable(uri), uri, {}, unit_bytes=unit_bytes)
    assert found.rows == first
    assert sorted(row["id"] for row in rows_of(found, ["id", "ds"], batch_rows)) == list(range(first))
    for unit in found.units:
        nights = {row["ds"] for b in found.reader.read(unit, ["ds"], batch_rows=batch_rows) for row in b.to_pylist()}
        assert nights == {unit.partition["ds"]}
        assert len(unit.pieces) == 1 or sum(piece.size for piece in unit.pieces) <= unit_bytes


def write_rows(uri: str, rows: pa.Table, group: int) -> None:
    """Append one file with row groups of ``group`` rows."""
    if not Path(uri, "_delta_log").exists():
        write_deltalake(uri, rows.slice(0, 0), partition_by=["ds"])
    table = DeltaTable(uri)
    night = str(rows["ds"][0].as_py())
    path = f"ds={night}/part-{rows['id'][0]}.parquet"
    Path(uri, path).parent.mkdir(exist_ok=True)
    pq.write_table(rows.drop_columns("ds"), f"{uri}/{path}", row_group_size=group)
    add = AddAction(path, Path(uri, path).stat().st_size, {"ds": night}, 0, True, json.dumps({"numRecords": len(rows)}))
    table.create_write_transaction([add], mode="append", schema=table.schema(), partition_by=["ds"])


def test_a_file_larger_than_a_unit_is_split_by_row_groups(tmp_path: Path) -> None:
    uri = str(tmp_path)
    write_rows(uri, numbers(0, 1000), group=100)
    found = scan(DeltaTable(uri), uri, {}, unit_bytes=1)
    assert [unit.pieces[0].row_groups for unit in found.units] == [(group,) for group in range(10)]
    assert [unit.pieces[0].first_row for unit in found.units] == list(range(0, 1000, 100))
    assert [row["id"] for row in rows_of(found, ["id"])] == list(range(1000))


def test_only_the_wanted_nights_are_read(tmp_path: Path) -> None:
    uri = str(tmp_path)
    put(uri, numbers(0, 3))
    table = put(uri, numbers(3, 5, NEXT))
    found = scan(table, uri, {"ds": [str(NEXT)]})
    assert (found.rows, rows_of(found, ["id", "ds"])) == (2, [{"id": 3, "ds": NEXT}, {"id": 4, "ds": NEXT}])


def test_a_column_that_came_later_is_null_before_and_one_that_grew_has_the_type_of_now(tmp_path: Path) -> None:
    uri = str(tmp_path)
    put(uri, numbers(0, 1))
    more = numbers(1, 2).append_column("carrier", pa.array(["UA"]))
    table = put(uri, more, schema_mode="merge")
    assert rows_of(scan(table, uri, {}), ["carrier", "id"]) in (
        [{"carrier": None, "id": 0}, {"carrier": "UA", "id": 1}],
        [{"carrier": "UA", "id": 1}, {"carrier": None, "id": 0}],
    )


def test_rows_are_counted_where_the_log_has_no_statistics(tmp_path: Path) -> None:
    uri = str(tmp_path)
    put(uri, numbers(0, 7))
    log = next(Path(uri, "_delta_log").glob("*.json"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"].pop("stats")
    log.write_text("\n".join(map(json.dumps, lines)))
    assert scan(DeltaTable(uri), uri, {}).rows == 7


def test_a_vacuumed_file_is_named(tmp_path: Path) -> None:
    uri = str(tmp_path)
    table = put(uri, numbers(0, 7))
    found = scan(table, uri, {})
    (file,) = active_files(table, {})
    Path(uri, file.path).unlink()
    with pytest.raises(LakeError, match=f"vacuumed.*where: {uri}/{file.path}"):
        rows_of(found, ["id"])
