"""Measure publishing nights of ten times the rows in as many files; prints one line of JSON.

``make bench-publish`` (``ROWS=200000`` for the smaller night, ``PAIRS=15``). Both nights are written as `score` writes
them, with other predictions each time, and replace what was published before by the commit of `publish_scores`, in
turns on the same table; only the commit is timed. Files of a night are alike in size, so that sizes do not tell them
apart. ``time_ratio_10x_rows`` is the median of the pairs' ratios.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.metadata import version

import numpy as np
import pyarrow as pa

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.protocol.data_file import DataFile

FILES = 16
TABLE = TableSchema(
    name="scores/bench",
    comment="Scores of a benchmark.",
    columns=(DS, Column("id", "long", "Key.", nullable=False), Column("prediction", "double", "Drawn at random.")),
    key=("id",),
)
FIRST = date(2026, 1, 1)


def written(lake: Lake, night: date, rows: int, attempt: int) -> list[DataFile]:
    """Unpublished files of a night, ``FILES`` of them."""
    schema, rng = delta.arrow_schema(TABLE), np.random.default_rng([rows, attempt])

    def batches(part: int) -> Iterator[pa.RecordBatch]:
        for first in range(0, rows // FILES, 1 << 17):
            count = min(1 << 17, rows // FILES - first)
            ids = np.arange(count) + first + part * (rows // FILES)
            yield pa.RecordBatch.from_arrays(
                [pa.repeat(pa.scalar(night), count), pa.array(ids), pa.array(rng.random(count))], schema=schema
            )

    uri = lake.table(TABLE).uri
    return [file for part in range(FILES) for file in write_files(batches(part), uri, schema, ("ds",))]


def publish_seconds(lake: Lake, night: date, rows: int, attempt: int) -> float:
    """Seconds of the commit that replaces ``night``."""
    files = written(lake, night, rows, attempt)
    began = time.perf_counter()
    lake.table(TABLE).commit(files, [night], run_id="bench", attempt=attempt)
    return time.perf_counter() - began


def main() -> None:
    """Print the line."""
    rows, pairs = int(os.environ.get("ROWS") or 200_000), int(os.environ.get("PAIRS") or 15)
    small: list[float] = []
    large: list[float] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        lake = Lake(folder)
        lake.table(TABLE).ensure()
        for pair in range(pairs + 1):
            for place in (0, 1) if pair % 2 else (1, 0):  # who goes first takes turns
                seconds = publish_seconds(lake, FIRST + timedelta(days=place), rows * (1, 10)[place], attempt=pair)
                if pair:  # the first is cold, and replaces nothing
                    (small, large)[place].append(seconds)
            print(f"pair {pair} of {pairs}", file=sys.stderr)
    ratios = [b / a for a, b in zip(small, large, strict=True)]
    line = {
        "benchmark": "publish",
        "time_ratio_10x_rows": round(statistics.median(ratios), 3),
        "rows": [rows, 10 * rows],
        "files": FILES,
        "seconds": [round(statistics.median(seconds), 4) for seconds in (small, large)],
        "pairs": pairs,
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: version(name) for name in ("deltalake", "pyarrow")},
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
