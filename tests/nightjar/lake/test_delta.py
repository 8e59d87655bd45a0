from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.small_disk import small_disk

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta, files
from nightjar.lake.active_files import active_files
from nightjar.lake.commit import last_attempt
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.lake.table import Table
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.errors import ConflictError, LakeError, StorageFullError

TABLE = TableSchema(
    name="raw/things",
    comment="Things.",
    columns=(
        DS,
        Column("id", "int", "Key."),
        Column("name", "string", "Name."),
        Column("at", "timestamp", "When."),
        Column("value", "double", "Value."),
    ),
    key=("id",),
)
SHARED = TableSchema(
    name="shared",
    comment="Shared by two writers.",
    columns=(DS, Column("part", "string", "Whose.", nullable=False), Column("id", "int", "Key.")),
    partition_by=("ds", "part"),
)
FIRST, SECOND = date(2013, 4, 1), date(2013, 4, 2)


def write(lake: Lake, rows: list[dict[str, object]], schema: TableSchema = TABLE) -> list[DataFile]:
    batch = pa.RecordBatch.from_pylist(rows, schema=delta.arrow_schema(schema))
    return write_files(iter([batch]), lake.table(schema).uri, delta.arrow_schema(schema), schema.partition_by)


def thing(ds: date, number: int) -> dict[str, object]:
    return {"ds": ds, "id": number, "name": f"n{number}", "at": None, "value": number / 2}


def ids(lake: Lake, night: date) -> list[int]:
    column: list[int] = lake.table(TABLE).read_nights([night])["id"].to_pylist()
    return sorted(column)


def test_a_commit_replaces_exactly_its_nights(lake: Lake) -> None:
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1), thing(SECOND, 2)]), [FIRST, SECOND], run_id="a")
    before = lake.table(TABLE).open().version()
    version = lake.table(TABLE).commit(write(lake, [thing(SECOND, 3), thing(SECOND, 4)]), [SECOND], run_id="b")
    assert version == before + 1
    assert (ids(lake, FIRST), ids(lake, SECOND)) == ([1], [3, 4])
    assert lake.table(TABLE).read_nights([SECOND], version=before)["id"].to_pylist() == [2]
    commit = lake.table(TABLE).open().history(1)[0]
    assert (commit["dag_run_id"], commit["nights"], commit["rows"]) == ("b", "2013-04-02", "2")


def test_uncommitted_files_are_invisible(lake: Lake) -> None:
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a")
    write(lake, [thing(FIRST, 9)])
    assert ids(lake, FIRST) == [1]


def test_a_night_can_become_empty(lake: Lake) -> None:
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a")
    lake.table(TABLE).commit([], [FIRST], run_id="b")
    assert ids(lake, FIRST) == []


def test_writers_of_one_night_keep_to_their_part(lake: Lake) -> None:
    for part, number in (("x", 1), ("y", 2), ("x", 3)):
        written = write(lake, [{"ds": FIRST, "part": part, "id": number}], SHARED)
        lake.table(SHARED).commit(written, [FIRST], run_id="a", within={"part": [part]})
    assert sorted(lake.table(SHARED).read_nights([FIRST])["id"].to_pylist()) == [2, 3]


def test_the_last_attempt_is_known_by_night(lake: Lake) -> None:
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a", attempt=7)
    table = lake.table(TABLE).open()
    assert last_attempt(table, FIRST) == 7
    assert last_attempt(table, SECOND) is None


@pytest.mark.parametrize("damage", ["gone", "resized", "other night", "miscounted", "held"])
def test_files_that_do_not_fit_are_refused_and_nothing_is_committed(lake: Lake, damage: str) -> None:
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a")
    before = lake.table(TABLE).open().version()
    file = write(lake, [thing(FIRST, 2)])[0]
    path = Path(lake.table(TABLE).uri) / file.path
    nights = [FIRST]
    if damage == "gone":
        path.unlink()
    elif damage == "resized":
        path.write_bytes(path.read_bytes() + b"x")
    elif damage == "other night":
        nights = [SECOND]
    elif damage == "miscounted":
        file = replace(file, stats=json.dumps({"numRecords": 5}))
    else:
        lake.table(TABLE).commit([file], nights, run_id="b")
        before += 1
    with pytest.raises(LakeError, match="the file to publish"):
        lake.table(TABLE).commit([file], nights, run_id="c")
    assert lake.table(TABLE).open().version() == before


def _with_extra(*, nullable: bool) -> TableSchema:
    extra = Column("extra", "boolean", "More.", nullable=nullable)
    return TableSchema(name=TABLE.name, comment="x", columns=(*TABLE.columns, extra), key=("id",))


def test_a_table_with_other_columns_is_refused(lake: Lake) -> None:
    lake.table(TABLE).ensure()
    with pytest.raises(LakeError, match=r"missing \['extra'\]"):
        lake.table(_with_extra(nullable=False)).ensure()
    lake.table(_with_extra(nullable=True)).ensure()
    with pytest.raises(LakeError, match=r"unknown \['extra'\]"):
        lake.table(TABLE).ensure()


def test_an_older_table_gets_a_new_nullable_column_and_keeps_what_it_holds(lake: Lake) -> None:
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a")
    wider = _with_extra(nullable=True)
    schema = delta.arrow_schema(wider)
    batch = pa.RecordBatch.from_pylist([thing(SECOND, 2) | {"extra": True}], schema=schema)
    written = write_files(iter([batch]), lake.table(TABLE).uri, schema, ("ds",))
    version = lake.table(wider).commit(written, [SECOND], run_id="b")
    fields = lake.table(TABLE).open().schema().fields
    assert [field.name for field in fields] == list(wider.column_names)
    assert fields[-1].metadata["comment"] == "More."
    rows = lake.table(TABLE).read_nights([FIRST, SECOND]).to_pylist()
    assert {row["id"]: row["extra"] for row in rows} == {1: None, 2: True}
    assert version == 3
    assert lake.table(wider).ensure().version() == version


def test_a_missing_table_and_a_missing_version_are_said(lake: Lake) -> None:
    with pytest.raises(LakeError, match="there is no table raw/none"):
        lake.open_table("raw/none")
    lake.table(TABLE).ensure()
    with pytest.raises(LakeError, match="version 9 of raw/things cannot be read"):
        lake.table(TABLE).open(9)


def test_columns_carry_their_comments(lake: Lake) -> None:
    fields = {field.name: field.metadata for field in lake.table(TABLE).ensure().schema().fields}
    assert fields["value"]["comment"] == "Value."


def test_statistics_bound_what_can_be_bounded(lake: Lake) -> None:
    stats = json.loads(write(lake, [thing(FIRST, 3), thing(FIRST, 8)])[0].stats)
    assert stats["numRecords"] == 2
    assert (stats["minValues"]["id"], stats["maxValues"]["id"]) == (3, 8)
    assert (stats["minValues"]["name"], stats["maxValues"]["name"]) == ("n3", "n8")
    assert (stats["minValues"]["value"], stats["maxValues"]["value"]) == (1.5, 4.0)
    assert stats["nullCount"]["at"] == 2


def test_what_statistics_cannot_say_has_no_bounds_and_a_moment_is_bounded_from_above(lake: Lake) -> None:
    moment = datetime(2013, 4, 1, 4, 0, 59, 999_001, UTC)
    (many_batches,) = write_files(
        (
            pa.RecordBatch.from_pylist([{**thing(FIRST, 1), "at": moment, "value": value}], delta.arrow_schema(TABLE))
            for value in (float("nan"), 1.0)
        ),
        lake.table(TABLE).uri, delta.arrow_schema(TABLE), ("ds",),
    )  # fmt: skip
    stats = json.loads(many_batches.stats)
    assert "value" not in stats["minValues"] | stats["maxValues"]
    bounds = (stats["minValues"]["at"], stats["maxValues"]["at"])
    assert bounds == ("2013-04-01T04:00:59.999Z", "2013-04-01T04:01:00.000Z")
    (endless,) = write(lake, [{**thing(FIRST, 1), "value": value} for value in (0.0, float("-inf"))])
    assert "value" not in json.loads(endless.stats)["minValues"]


def test_readers_that_trust_the_bounds_find_every_row(lake: Lake) -> None:
    moment = datetime(2013, 4, 1, 4, 0, 59, 999_001, UTC)
    lake.table(TABLE).commit(write(lake, [{**thing(FIRST, 1), "at": moment}]), [FIRST], run_id="a")
    lake.table(TABLE).commit(write(lake, [thing(SECOND, 2), thing(SECOND, 3)]), [SECOND], run_id="a")
    table = lake.table(TABLE).open()
    dataset = table.to_pyarrow_dataset()
    assert dataset.to_table(filter=pc.field("at") >= moment)["id"].to_pylist() == [1]
    assert dataset.to_table(filter=pc.field("value") > 0.75)["id"].to_pylist() == [2, 3]
    assert table.to_pandas(filters=[("value", ">", 1.0)])["id"].tolist() == [
        3
    ]  # delta-rs does not treat missing bounds as no rows
    assert len(list(dataset.get_fragments(filter=pc.field("value") > 0.75))) == 1


def test_only_files_that_look_the_same_are_read_whole(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a")
    read: list[str] = []
    monkeypatch.setattr(files, "sha256", lambda uri, truth=files.sha256: read.append(uri) or truth(uri))
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 3)]), [FIRST], run_id="b")
    assert (read, ids(lake, FIRST)) == ([], [3])
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 3)]), [FIRST], run_id="c")
    assert len(read) == 2


def test_the_same_rows_again_make_no_new_version_and_leave_no_files(lake: Lake) -> None:
    first = lake.table(TABLE).commit(write(lake, [thing(FIRST, 1), thing(FIRST, 2)]), [FIRST], run_id="a")
    again = write(lake, [thing(FIRST, 1), thing(FIRST, 2)])
    assert lake.table(TABLE).commit(again, [FIRST], run_id="b") == first
    folder = Path(lake.table(TABLE).uri) / f"ds={FIRST}"
    assert len(list(folder.iterdir())) == 1
    assert lake.table(TABLE).commit(write(lake, [thing(FIRST, 1), thing(FIRST, 3)]), [FIRST], run_id="c") == first + 1
    assert ids(lake, FIRST) == [1, 3]


def test_nights_that_swap_their_rows_are_not_taken_for_the_same(lake: Lake) -> None:
    nights = [FIRST, SECOND]
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1), thing(SECOND, 2)]), nights, run_id="a")
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 2), thing(SECOND, 1)]), nights, run_id="b")
    assert (ids(lake, FIRST), ids(lake, SECOND)) == ([2], [1])


def test_files_of_an_attempt_stay_to_be_published_again(lake: Lake) -> None:
    first = lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a", attempt=1)
    again = write(lake, [thing(FIRST, 1)])
    for _ in range(2):
        assert lake.table(TABLE).commit(again, [FIRST], run_id="b", attempt=2) == first
    assert ids(lake, FIRST) == [1]


def test_of_two_that_replace_a_night_at_the_same_time_one_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.table(TABLE).ensure()
    open_before, theirs = lake.table(TABLE).ensure(), write(lake, [thing(FIRST, 2)])
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a")
    monkeypatch.setattr(Table, "ensure", lambda _: open_before)  # opened before the other commit
    with pytest.raises(ConflictError, match="another run replaced the same nights of raw/things"):
        lake.table(TABLE).commit(theirs, [FIRST], run_id="b")
    monkeypatch.undo()
    assert ids(lake, FIRST) == [1]


def test_other_nights_and_other_parts_may_be_replaced_at_the_same_time(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.table(SHARED).ensure()
    for night, part in ((FIRST, "x"), (SECOND, "x"), (FIRST, "y")):
        open_before = lake.table(SHARED).open(0)
        written = write(lake, [{"ds": night, "part": part, "id": 1}], SHARED)
        monkeypatch.setattr(Table, "ensure", lambda _, opened=open_before: opened)
        lake.table(SHARED).commit(written, [night], run_id="a", within={"part": [part]})
    assert len(lake.table(SHARED).open().to_pyarrow_table()) == 3


@pytest.mark.parametrize("folder", ["My Projects 100%", "linked"])
def test_a_rerun_is_recognised_wherever_the_lake_lies(tmp_path: Path, folder: str) -> None:
    there = tmp_path / folder
    if folder == "linked":
        (tmp_path / "real").mkdir()
        there.symlink_to(tmp_path / "real")
    lake = Lake(f"{there}/lake")
    first = lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a")
    assert lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="b") == first
    active = active_files(lake.table(TABLE).open(), {"ds": ["2013-04-01"]})
    assert [(there / "lake/raw/things" / file.path).is_file() for file in active] == [True]
    assert delta.rows_by_night(lake.table(TABLE).open(), [FIRST, SECOND]) == {FIRST: 1, SECOND: 0}


def test_what_does_not_fit_on_the_disk_leaves_no_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 64) as disk:
        with pytest.raises(StorageFullError, match="no space left"), files.storage_errors(str(disk)):
            write(Lake(f"{disk}/lake"), [{**thing(FIRST, i), "name": f"{i**9}"} for i in range(20_000)])
        assert [path for path in disk.rglob("*") if path.is_file()] == []


def test_a_reworded_comment_stops_no_writer(lake: Lake) -> None:
    lake.table(TABLE).commit(write(lake, [thing(FIRST, 1)]), [FIRST], run_id="a")
    columns = tuple(replace(column, comment=f"{column.comment} Anew.") for column in TABLE.columns)
    reworded = replace(TABLE, columns=columns)
    lake.table(reworded).commit(write(lake, [thing(FIRST, 2)], reworded), [FIRST], run_id="b")
    lake.table(reworded).append(pa.Table.from_pylist([thing(FIRST, 3)], schema=delta.arrow_schema(reworded)))
    assert ids(lake, FIRST) == [2, 3]
