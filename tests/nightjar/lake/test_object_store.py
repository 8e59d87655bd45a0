"""A lake in S3: a failing store does not affect small files, commits and the ledger."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta, files, ledger
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.errors import UnreachableError

THINGS = TableSchema(name="things", comment="Things.", columns=(DS, Column("value", "long", "A number.")))
NIGHTS = [date(2013, 4, 1) + timedelta(days=i) for i in range(3)]
Store = Callable[..., str]


def written(lake: Lake, night: date, values: range) -> list[DataFile]:
    schema = delta.arrow_schema(THINGS)
    batch = pa.RecordBatch.from_pylist([{"ds": night, "value": value} for value in values], schema=schema)
    return write_files(iter([batch]), lake.table(THINGS).uri, schema, ("ds",))


def commit(lake: Lake, night: date, values: range, attempt: int) -> int:
    return lake.table(THINGS).commit(written(lake, night, values), [night], run_id=f"r{attempt}", attempt=attempt)


def read_nights(lake: Lake) -> dict[date, list[int]]:
    rows = lake.table(THINGS).read_nights(NIGHTS).to_pylist()
    return {night: sorted(row["value"] for row in rows if row["ds"] == night) for night in NIGHTS}


def commits(lake: Lake) -> list[tuple[str, str]]:
    """Night and run of each commit, oldest first; the creation of an empty table may be in the log twice."""
    history = lake.table(THINGS).open().history()
    return [(entry["nights"], entry["dag_run_id"]) for entry in reversed(history) if "nights" in entry]


def seen() -> dict[str, int]:
    with urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/_seen") as answer:
        pairs = (line.rsplit(" ", 1) for line in answer.read().decode().splitlines())
        return {way: int(count) for way, count in pairs}


def test_the_server_lets_one_of_eight_conditional_writes_win(store: Store) -> None:
    store()

    def put(client: object) -> str:
        try:
            client.put_object(Bucket="bucket", Key="one", Body=b"x", IfNoneMatch="*")  # type: ignore[attr-defined]
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "won"

    clients = [boto3.client("s3") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, clients)) == ["PreconditionFailed"] * 7 + ["won"]


def test_a_tenth_of_all_calls_and_half_of_the_commits_answers_lost_change_nothing(store: Store, lake: Lake) -> None:
    failing = Lake(store(share=0.1, lost_commits=0.5))
    for place in (lake, failing):
        for attempt in (1, 2):  # the second replaces the first, night by night
            for night in NIGHTS:
                commit(place, night, range(attempt, attempt + 5), attempt)
    assert read_nights(failing) == read_nights(lake) == {night: [2, 3, 4, 5, 6] for night in NIGHTS}
    expected = [(night.isoformat(), f"r{attempt}") for attempt in (1, 2) for night in NIGHTS]
    assert commits(failing) == commits(lake) == expected
    assert seen()["dropped after, conditional"] > 0, seen()


def test_an_event_whose_commit_was_not_answered_is_in_the_ledger_once(store: Store) -> None:
    lake = Lake(store(lost_commits=0.7))
    for i in range(8):
        ledger.record(lake, ledger.Event(event="publish", use_case="shop", reason=str(i)))
    assert ledger.read(lake)["reason"].to_pylist() == [str(i) for i in range(8)]
    assert sum("append" in entry for entry in lake.table(ledger.TABLE).open().history()) == 8
    assert seen()["dropped after, conditional"] > 0, seen()


def test_small_files_outlive_a_store_that_fails_and_both_spellings_are_one_place(store: Store) -> None:
    lake = store(share=0.1)
    for i in range(20):
        files.write_text(f"{lake}/run/{i:02d}.json", str(i))
    spark_says = lake.replace("s3://", "s3a://")
    assert [files.read_text(f"{spark_says}/run/{i:02d}.json") for i in range(20)] == [str(i) for i in range(20)]
    assert files.list_files(f"{lake}/run") == [f"{i:02d}.json" for i in range(20)]
    files.delete_file(f"{lake}/run/00.json")
    assert (files.exists(f"{lake}/run/00.json"), files.size(f"{lake}/run/11.json")) == (False, 2)


def test_a_store_that_never_answers_is_said_to_be_unreachable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = store()
    files.write_text(f"{lake}/a", "b")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(files, "TRIES", 2)
    with pytest.raises(UnreachableError, match="the lake does not answer"):
        files.read_text(f"{lake}/a")
