"""What maintenance removes and keeps."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta, ledger
from nightjar.lake.active_files import active_files
from nightjar.lake.commit import last_attempt
from nightjar.lake.lake import Lake
from nightjar.lake.maintenance import maintain
from nightjar.lake.parquet import write_files
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.errors import ConfigurationError, LakeError

TABLE = TableSchema(name="scores/x", comment="x", columns=(DS, Column("id", "long", "id", nullable=False)), key=("id",))
NIGHT, NEXT = date(2026, 1, 2), date(2026, 1, 3)
OLD = time.time() - 31 * 86_400


def written(lake: Lake, *ids: int, night: date = NIGHT) -> list[DataFile]:
    schema = delta.arrow_schema(TABLE)
    batch = pa.RecordBatch.from_pydict({"ds": [night] * len(ids), "id": list(ids)}, schema=schema)
    return write_files(iter([batch]), lake.table(TABLE).uri, schema, ("ds",))


def publish(lake: Lake, *ids: int, night: date = NIGHT) -> int:
    return lake.table(TABLE).commit(written(lake, *ids, night=night), [night], run_id="r")


def age(lake: Lake, file: DataFile) -> Path:
    path = Path(lake.table(TABLE).uri, file.path)
    os.utime(path, (OLD, OLD))
    return path


def ids(lake: Lake, version: int | None = None) -> list[int]:
    return sorted(lake.table(TABLE).open(version).to_pyarrow_table()["id"].to_pylist())


def test_only_unpublished_files_that_are_old_go(lake: Lake) -> None:
    publish(lake, 1, 2)
    (published,) = active_files(lake.table(TABLE).open(), {})
    os.utime(Path(lake.table(TABLE).uri, published.path), (OLD, OLD))
    forgotten = age(lake, written(lake, 9)[0])
    in_flight = written(lake, 3, night=NEXT)
    done = maintain(lake.table(TABLE))
    assert done is not None
    assert (done.removed, done.compacted, done.files) == (1, 0, 1)
    assert not forgotten.exists()
    assert ids(lake) == [1, 2]
    lake.table(TABLE).commit(in_flight, [NEXT], run_id="r", attempt=1)  # the running night can still commit its files
    assert ids(lake) == [1, 2, 3]
    again = maintain(lake.table(TABLE))
    assert again is not None
    assert again.removed == 0


def test_what_was_replaced_stays_readable_for_the_retention_and_goes_after_it(lake: Lake) -> None:
    first = publish(lake, 1, 2)
    second = publish(lake, 3)
    maintain(lake.table(TABLE))
    assert (ids(lake, first), ids(lake, second)) == ([1, 2], [3])
    log = Path(lake.table(TABLE).uri, "_delta_log", f"{second:020d}.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "remove" in line:
            line["remove"]["deletionTimestamp"] = int(OLD * 1000)
    log.write_text("\n".join(map(json.dumps, lines)))
    done = maintain(lake.table(TABLE))
    assert done is not None
    assert done.removed == 1
    assert ids(lake) == [3]
    with pytest.raises(OSError, match="No such file"):
        ids(lake, first)


def test_a_published_attempt_is_known_after_maintenance(lake: Lake) -> None:
    lake.table(TABLE).commit(written(lake, 1), [NIGHT], run_id="r", attempt=7)
    age(lake, written(lake, 9)[0])
    maintain(lake.table(TABLE))
    assert last_attempt(lake.table(TABLE).open(), NIGHT) == 7


def test_the_ledgers_small_files_become_one_a_day_and_lose_nothing(lake: Lake) -> None:
    for number in range(5):
        event = ledger.Event(event="publish", use_case="x", ds=(NIGHT, NEXT)[number % 2], reason=str(number))
        ledger.record(lake, event)
    before = ledger.read(lake)
    done = maintain(lake.table(ledger.TABLE))
    assert done is not None
    assert (done.compacted, done.files) == (5, 2)
    assert ledger.read(lake).equals(before)
    ledger.record(lake, ledger.Event(event="publish", use_case="x", ds=NIGHT))
    assert ledger.read(lake).num_rows == 6
    assert DeltaTable(f"{lake}/{ledger.TABLE.name}").metadata().description == ledger.TABLE.comment


def test_a_table_that_is_not_there_is_left_alone(lake: Lake) -> None:
    assert maintain(lake.table(TABLE)) is None
    assert not Path(lake.table(TABLE).uri).exists()


def test_a_retention_in_which_nights_are_in_flight_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"retention_days is 3 .*at least 7"):
        replace(TABLE, retention_days=3)


class Past:
    """A table whose commits and files were made some days ago."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.folder = lake, Path(lake.table(TABLE).uri)

    def date_back(self, version: int, days: int) -> None:
        moment = time.time() - days * 86_400
        log = self.folder / "_delta_log" / f"{version:020d}.json"
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            for kind, name in (("commitInfo", "timestamp"), ("remove", "deletionTimestamp")):
                if kind in action:
                    action[kind][name] = int(moment * 1000)
            if "add" in action:
                os.utime(self.folder / action["add"]["path"], (moment, moment))
        log.write_text("\n".join(map(json.dumps, actions)))
        os.utime(log, (moment, moment))

    def checkpoint(self) -> None:
        self.lake.table(TABLE).open().create_checkpoint()

    def log(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "_delta_log").glob("0*"))


def test_an_old_version_that_was_the_latest_within_the_retention_is_kept_with_its_log(lake: Lake) -> None:
    past, versions = Past(lake), [publish(lake, 1, 2), publish(lake, 3), publish(lake, 4)]
    for version, days in zip((0, *versions), (101, 100, 10, 9), strict=True):
        past.date_back(version, days)
    past.checkpoint()  # by default it drops files replaced more than 7 days ago
    for number in range(2):
        publish(lake, 5 + number)
        past.checkpoint()
        done = maintain(lake.table(TABLE))
        assert done is not None
        assert (done.removed, done.log_removed) == (0, 0)
    assert [ids(lake, version) for version in versions] == [[1, 2], [3], [4]]


def test_the_log_is_shortened_with_its_files(lake: Lake) -> None:
    past, versions = Past(lake), []
    for days in (50, 45, 40, 1):
        versions.append(publish(lake, days))
        past.date_back(versions[-1], days)
        past.checkpoint()
    done = maintain(lake.table(TABLE))
    assert done is not None
    assert (done.removed, done.log_removed > 0) == (2, True)
    assert min(past.log()) == f"{versions[2]:020d}.checkpoint.parquet"  # it was the latest until yesterday
    assert [ids(lake, version) for version in versions[2:]] == [[40], [1]]
    with pytest.raises(LakeError, match="cannot be read"):
        ids(lake, versions[1])


def test_a_table_gets_the_retention_that_was_declared_later(lake: Lake) -> None:
    publish(lake, 1)
    maintain(lake.table(replace(TABLE, retention_days=90)))
    configuration = lake.table(TABLE).open().metadata().configuration
    assert configuration["delta.deletedFileRetentionDuration"] == "interval 90 days"
    version = lake.table(TABLE).open().version()
    maintain(lake.table(replace(TABLE, retention_days=90)))
    assert lake.table(TABLE).open().version() == version
    publish(lake, 2)
    assert ids(lake) == [2]
