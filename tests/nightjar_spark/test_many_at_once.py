"""Concurrent writers, maintenance and readers, by Spark and by delta-rs: no reader sees a partial night."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.maintenance import maintain
from nightjar.lake.parquet import write_files
from nightjar.protocol.errors import ConflictError
from nightjar_spark.io import replace_nights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
TABLE = TableSchema(
    name="scores/many",
    comment="Rows that say which turn wrote them.",
    columns=(DS, *(Column(name, "long", name, nullable=False) for name in ("id", "writer", "turn"))),
    key=("id",),
)
WRITERS, TURNS, SPARK_WRITERS = 20, 10, 2
LONG_AGO = time.time() - 31 * 86_400
ROWS_A_TURN = 3
"""Turn k writes 3 * (k + 1) rows, so that the count shows a night of two turns or of half a turn."""


def night_of(writer: int) -> date:
    """Writers 0 and 1 share a night; each other has its own."""
    return date(2026, 1, 1) + timedelta(days=max(1, writer))


def rows_of(writer: int, turn: int) -> pa.Table:
    rows = [{"ds": night_of(writer), "id": i, "writer": writer, "turn": turn} for i in range(ROWS_A_TURN * (turn + 1))]
    return pa.Table.from_pylist(rows, schema=delta.arrow_schema(TABLE))


def is_whole(rows: Iterable[tuple[date, int, int]]) -> bool:
    """Whether each night holds exactly what one turn of one writer wrote."""
    counted = Counter(rows)
    nights = {night for night, _, _ in counted}
    return len(nights) == len(counted) and all(n == ROWS_A_TURN * (turn + 1) for (_, _, turn), n in counted.items())


class Crowd:
    """Writers that take turns at their nights, and those who read and tend the table meanwhile."""

    def __init__(self, spark: SparkSession, lake: str) -> None:
        Lake(lake).table(TABLE).ensure()
        self.spark, self.lake, self.uri = spark, lake, Lake(lake).table(TABLE).uri
        self.errors: list[BaseException] = []
        self.seen: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()
        self._over = threading.Event()

    def run(self) -> None:
        """Run all concurrently until every writer has had its turns."""
        until_over = (self._read_by_delta_rs, self._read_by_spark, self._tend, self._optimize)
        others = [self._thread(self._again_and_again, work) for work in until_over]
        for thread in [self._thread(self._write, writer) for writer in range(WRITERS)]:
            thread.join()
        self._over.set()
        for thread in others:
            thread.join()

    def _thread(self, work: Callable[..., None], *arguments: Any) -> threading.Thread:
        def run() -> None:
            try:
                work(*arguments)
            except BaseException as error:  # fails the test
                self.errors.append(error)

        started = threading.Thread(target=run)
        started.start()
        return started

    def _again_and_again(self, work: Callable[[], None]) -> None:
        while not self._over.is_set():
            work()
            self.seen[work.__name__] += 1

    def _write(self, writer: int) -> None:
        for turn in range(TURNS):
            while True:
                try:
                    self._write_once(writer, turn)
                    break
                except ConflictError:  # the task is tried again
                    self.refused[writer] += 1

    def _write_once(self, writer: int, turn: int) -> None:
        rows, nights, schema = rows_of(writer, turn), [night_of(writer)], delta.arrow_schema(TABLE)
        if writer >= WRITERS - SPARK_WRITERS:
            replace_nights(
                self.spark.createDataFrame(rows.to_pandas()), Lake(self.lake), TABLE, nights, run_id=str(writer)
            )
        else:
            written = write_files(iter(rows.to_batches()), self.uri, schema, ("ds",))
            Lake(self.lake).table(TABLE).commit(written, nights, run_id=str(writer))

    def _read_by_delta_rs(self) -> None:
        table = Lake(self.lake).table(TABLE).open().to_pyarrow_table(columns=["ds", "writer", "turn"])
        assert is_whole((row["ds"], row["writer"], row["turn"]) for row in table.to_pylist())

    def _read_by_spark(self) -> None:
        found = self.spark.read.format("delta").load(self.uri).select("ds", "writer", "turn").collect()
        assert is_whole((row["ds"], row["writer"], row["turn"]) for row in found)

    def _tend(self) -> None:
        """Remove what a failed attempt has left a month ago, and nothing of the nights in flight."""
        (left,) = write_files(iter(rows_of(0, 0).to_batches()), self.uri, delta.arrow_schema(TABLE), ("ds",))
        os.utime(f"{self.uri}/{left.path}", (LONG_AGO, LONG_AGO))
        done = maintain(Lake(self.lake).table(TABLE))
        assert done is not None
        assert done.removed == 1

    def _optimize(self) -> None:
        self.spark.sql(f"OPTIMIZE delta.`{self.uri}`")


def test_two_hundred_concurrent_commits_neither_lose_nor_duplicate_rows(spark: SparkSession, lake: str) -> None:
    crowd = Crowd(spark, lake)
    crowd.run()
    assert not crowd.errors, crowd.errors
    until_over = ("_read_by_delta_rs", "_read_by_spark", "_tend", "_optimize")
    assert min(crowd.seen[work] for work in until_over) >= 2, crowd.seen
    assert set(crowd.refused) <= {0, 1}, "only who shares a night with another may be refused"

    table = Lake(lake).table(TABLE).open()
    commits = Counter(int(made["dag_run_id"]) for made in table.history() if "dag_run_id" in made)
    assert commits == {writer: TURNS for writer in range(WRITERS)}
    rows = [tuple(row.values()) for row in table.to_pyarrow_table().select(TABLE.column_names).to_pylist()]
    last_of_shared = {writer for night, _, writer, _ in rows if night == night_of(0)}
    assert last_of_shared <= {0, 1}
    owners = [*last_of_shared, *range(2, WRITERS)]
    wanted = [tuple(row.values()) for writer in owners for row in rows_of(writer, TURNS - 1).to_pylist()]
    assert Counter(rows) == Counter(wanted)
