"""The log is shortened only before a checkpoint that opens, whatever its name."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.commit import last_attempt
from nightjar.lake.lake import Lake
from nightjar.lake.log_files import shorten_log
from nightjar.lake.parquet import write_files

TABLE = TableSchema(name="scores/x", comment="x", columns=(DS, Column("id", "long", "id", nullable=False)), key=("id",))
NIGHT = date(2026, 1, 2)
UUID = "80a083e8-7026-4e79-81be-64bd76c43a11"
LATEST, OLD = 4, 3
"""The latest version, and the latest version at the start of the 30 days of retention."""


class OldTable:
    """A table whose versions 0 to 3 are older than the retention, with a saved checkpoint of version 3."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.uri = lake, lake.table(TABLE).uri
        self.log = Path(self.uri, "_delta_log")
        schema = delta.arrow_schema(TABLE)
        for version, days in enumerate((60, 50, 45, 40, 1)):
            night = date(2026, 1, 1 + max(version, 1))
            batch = pa.RecordBatch.from_pydict({"ds": [night], "id": [version]}, schema=schema)
            if version == 0:
                lake.table(TABLE).ensure()
            else:
                written = write_files(iter([batch]), self.uri, schema, ("ds",))
                lake.table(TABLE).commit(written, [night], run_id="r", attempt=version)
            self._date_back(version, days)
            if version == OLD:
                lake.table(TABLE).open().create_checkpoint()
        (self.log / "_last_checkpoint").unlink()
        self.whole = Path(lake.uri, "whole.parquet")
        shutil.move(self.log / f"{OLD:020d}.checkpoint.parquet", self.whole)

    def _date_back(self, version: int, days: int) -> None:
        moment = time.time() - days * 86_400
        file = self.log / f"{version:020d}.json"
        actions = [json.loads(line) for line in file.read_text().splitlines()]
        for action in actions:
            if "commitInfo" in action:
                action["commitInfo"]["timestamp"] = int(moment * 1000)
        file.write_text("\n".join(map(json.dumps, actions)))
        os.utime(file, (moment, moment))

    def checkpoint(self, ending: str) -> Path:
        return self.log / f"{OLD:020d}.checkpoint{ending}"

    def rows(self) -> pa.Table:
        return pq.read_table(self.whole)

    def without(self, lost: Callable[[dict[str, Any]], bool]) -> None:
        """Write the checkpoint without some actions."""
        table = self.rows()
        kept = [not lost(row) for row in table.to_pylist()]
        assert not all(kept)
        pq.write_table(table.filter(pa.array(kept)), self.checkpoint(".parquet"))

    def version_2(self, *, sidecar: bool) -> None:
        """Write it as a checkpoint of version 2: a JSON file, and the files' actions beside it."""
        table, lines = self.rows(), [{"checkpointMetadata": {"version": OLD}}]
        of_files = [bool(row["add"] or row["remove"]) for row in table.to_pylist()]
        folder = self.log / "_sidecars"
        folder.mkdir()
        pq.write_table(table.select(["add", "remove"]).filter(pa.array(of_files)), folder / "s.parquet")
        lines.append({"sidecar": {"path": "s.parquet", "sizeInBytes": (folder / "s.parquet").stat().st_size,
                                  "modificationTime": 0, "tags": {}}})  # fmt: skip
        for row in table.to_pylist(maps_as_pydicts="strict"):
            action = {kind: _without_nulls(value) for kind, value in row.items() if value is not None}
            if "add" not in action and "remove" not in action:
                lines.append(action)
        self.checkpoint(f".{UUID}.json").write_text("\n".join(map(json.dumps, lines)))
        if not sidecar:
            (folder / "s.parquet").unlink()

    def parts(self, *written: int) -> None:
        """Write it in two parts, of which some are there."""
        table = self.rows()
        for part in written:
            rows = table.slice(0, 2) if part == 1 else table.slice(2)
            pq.write_table(rows, self.checkpoint(f".{part:010d}.0000000002.parquet"))

    def names(self) -> list[str]:
        return sorted(path.name for path in self.log.iterdir() if path.name[0] == "0")

    def ids(self, version: int) -> list[int]:
        nights = [date(2026, 1, 1 + number) for number in range(1, LATEST + 1)]
        return sorted(self.lake.table(TABLE).read_nights(nights, ["id"], version)["id"].to_pylist())


def _without_nulls(value: Any) -> Any:
    return {k: _without_nulls(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


@pytest.fixture
def table(lake: Lake) -> OldTable:
    return OldTable(lake)


def lacks(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda row: row[kind] is not None


DAMAGED: dict[str, Callable[[OldTable], object]] = {
    "one part of two": lambda t: t.parts(1),
    "the other part of two": lambda t: t.parts(2),
    "no bytes": lambda t: t.checkpoint(".parquet").write_bytes(b""),
    "cut off": lambda t: t.checkpoint(".parquet").write_bytes(t.whole.read_bytes()[:2000]),
    "begun as a temporary file": lambda t: shutil.copy(t.whole, t.checkpoint(".parquet.tmp")),
    "partial": lambda t: shutil.copy(t.whole, t.checkpoint(".parquet.partial")),
    "of another kind": lambda t: t.checkpoint(".parquet").write_text("{}"),
    "a sidecar is gone": lambda t: t.version_2(sidecar=False),
    "a JSON file that is cut off": lambda t: t.checkpoint(f".{UUID}.json").write_text('{"checkpointMetadata":{"ver'),
    "lacks a file": lambda t: t.without(lambda row: row["add"] is not None and "2026-01-03" in row["add"]["path"]),
    "lacks all files": lambda t: t.without(lacks("add")),
    "lacks the metadata": lambda t: t.without(lacks("metaData")),
    "lacks the protocol": lambda t: t.without(lacks("protocol")),
    "lacks an attempt": lambda t: t.without(lambda row: row["txn"] is not None and "2026-01-02" in row["txn"]["appId"]),
    "whole beside one that is not": lambda t: (
        shutil.copy(t.whole, t.checkpoint(".parquet")),
        t.checkpoint(f".{UUID}.parquet").write_bytes(b""),
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_nothing_goes_before_a_checkpoint_that_does_not_open_by_itself(table: OldTable, damage: str) -> None:
    before = [table.ids(version) for version in range(LATEST + 1)]
    DAMAGED[damage](table)
    names = table.names()
    assert shorten_log(table.uri, 30) == 0
    assert table.names() == names
    for path in table.log.glob("*.checkpoint*"):
        path.unlink()
    assert [table.ids(version) for version in range(LATEST + 1)] == before


WHOLE: dict[str, Callable[[OldTable], object]] = {
    "one file": lambda t: shutil.copy(t.whole, t.checkpoint(".parquet")),
    "two parts": lambda t: t.parts(1, 2),
    "version 2": lambda t: t.version_2(sidecar=True),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_what_comes_before_a_checkpoint_that_opens_goes(table: OldTable, kind: str) -> None:
    WHOLE[kind](table)
    (table.log / "_last_checkpoint").write_text('{"version":1,"size":3}')  # of a checkpoint that is not there
    (table.log / "00000000000000000000.00000000000000000002.compacted.json").write_text("")
    (table.log / "00000000000000000001.crc").write_text("")
    before = [table.ids(version) for version in (OLD, LATEST)]
    assert shorten_log(table.uri, 30) == 5
    assert min(table.names()) >= f"{OLD:020d}"
    assert [table.ids(version) for version in (OLD, LATEST)] == before
    assert last_attempt(table.lake.table(TABLE).open(), date(2026, 1, 2)) == 1
    assert shorten_log(table.uri, 30) == 0


def test_the_log_goes_up_to_the_last_checkpoint_that_opens(table: OldTable) -> None:
    shutil.copy(table.whole, table.checkpoint(".parquet"))
    assert shorten_log(table.uri, 30) == 3
    table.lake.table(TABLE).open().create_checkpoint()
    table._date_back(LATEST, 31)
    later = table.log / f"{LATEST:020d}.checkpoint.parquet"
    kept = later.read_bytes()
    later.write_bytes(kept[: len(kept) // 2])
    assert shorten_log(table.uri, 30) == 0
    later.write_bytes(kept)
    assert shorten_log(table.uri, 30) == 2  # compared with the earlier checkpoint


def test_a_commit_that_is_missing_keeps_the_log(table: OldTable) -> None:
    shutil.copy(table.whole, table.checkpoint(".parquet"))
    (table.log / f"{1:020d}.json").unlink()
    names = table.names()
    assert shorten_log(table.uri, 30) == 0
    assert table.names() == names


def test_old_sidecars_that_no_checkpoint_names_go(table: OldTable) -> None:
    table.version_2(sidecar=True)
    for name, days in (("forgotten.parquet", 40), ("being-written.parquet", 1)):
        path = table.log / "_sidecars" / name
        path.write_bytes(b"x")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    assert shorten_log(table.uri, 30) == 4
    assert sorted(path.name for path in (table.log / "_sidecars").iterdir()) == ["being-written.parquet", "s.parquet"]
