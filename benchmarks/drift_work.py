"""One process of `benchmarks/drift.py`: it makes a night and a reference, profiles and compares them, or checks that.

``drift_work.py make|ours|check <JSON of Work>``; ``ours`` is run by ``spark-submit``. Each prints a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nightjar.declaration.monitoring import Drift
from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.monitoring.drift.comparison import compare
from nightjar.monitoring.drift.measures import PSEUDO_COUNT
from nightjar.monitoring.profiles.profile import ColumnProfile, Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.summarize import profile_arrays

NIGHT = date(2026, 1, 2)
FILES = 8
BATCH = 131_072
MOST_REFERENCE_ROWS = 3_000_000
"""The reference has as many rows as the night, up to this."""

FIRST_SEED_OF_REFERENCE = 10**9
"""Beyond the night's, whose seeds are the positions of its batches."""

NUMBERS = tuple(f"number_{i:02d}" for i in range(15))
CATEGORIES = tuple(f"category_{i}" for i in range(5))
COLUMNS = [*(ProfiledColumn(n, "numeric") for n in NUMBERS), *(ProfiledColumn(n, "categorical") for n in CATEGORIES)]
TABLE = TableSchema(
    name="features/bench",
    comment="Drawn.",
    columns=(
        DS,
        *(Column(name, "double", "Drawn.") for name in NUMBERS),
        *(Column(name, "string", "One of twenty.") for name in CATEGORIES),
    ),
)
VALUES = [f"v{i:02d}" for i in range(20)]


@dataclass(frozen=True)
class Work:
    """Where one size lies, and its rows."""

    folder: str
    rows: int

    @property
    def lake(self) -> Lake:
        """The lake that holds the night's table."""
        return Lake(f"{self.folder}/lake")

    @property
    def reference(self) -> str:
        """Rows to compare with, for who needs the rows."""
        return f"{self.folder}/reference.parquet"

    @property
    def profile(self) -> str:
        """The same, as a training stores them with its model."""
        return f"{self.folder}/profile.json"

    @property
    def night(self) -> str:
        """Folder of the night's Parquet files."""
        return f"{self.lake.table(TABLE).uri}/ds={NIGHT}"

    @property
    def found(self) -> str:
        """The night's profile and the measures that ours gave."""
        return f"{self.folder}/found.json"


def draw(seed: int, rows: int, *, drifted: bool) -> dict[str, pa.Array]:
    """Rows by column: normal, skewed, mostly zero or counted numbers, 2 % missing, and uneven categories.

    Every third number moves by its spread and every second category's mix tilts when ``drifted``.
    """
    rng = np.random.default_rng(seed)
    drawn = {}
    for i, name in enumerate(NUMBERS):
        values = rng.standard_normal(rows) + (1.0 if drifted and i % 3 == 0 else 0.0)
        if i % 5 == 1:
            values = np.exp(values)
        elif i % 5 == 2:
            values = np.maximum(values, 0.0)
        elif i % 5 == 3:
            values = np.round(3 * values)
        drawn[name] = pa.array(values, mask=rng.random(rows) < 0.02)
    vocabulary = pa.array(VALUES)
    for i, name in enumerate(CATEGORIES):
        weights = 1.0 / np.arange(2, 22) ** (0.8 if drifted and i % 2 == 0 else 1.0)
        drawn[name] = vocabulary.take(pa.array(rng.choice(20, rows, p=weights / weights.sum())))
    return drawn


def make(work: Work) -> None:
    """The night as a Delta table of :data:`FILES` files, the reference's rows and its profile."""
    Path(work.profile).write_text(make_reference(work).to_json())
    schema = delta.arrow_schema(TABLE)
    written, each = [], -(-work.rows // FILES)
    for first in range(0, work.rows, each):
        batches = night_batches(first, min(first + each, work.rows), schema)
        written += write_files(batches, work.lake.table(TABLE).uri, schema, ("ds",))
    work.lake.table(TABLE).commit(written, [NIGHT], run_id="bench")
    print(json.dumps({"megabytes": round(sum(file.size for file in written) / 2**20)}))


def make_reference(work: Work) -> Profile:
    """Write the reference's rows; bins are fixed on the first batch, and all are counted in them."""
    rows = min(work.rows, MOST_REFERENCE_ROWS)
    counted: list[Profile] = []
    bins = None
    with pq.ParquetWriter(
        work.reference, pa.schema([field for field in delta.arrow_schema(TABLE) if field.name != "ds"])
    ) as file:
        for at in range(0, rows, BATCH):
            batch = draw(FIRST_SEED_OF_REFERENCE + at, min(BATCH, rows - at), drifted=False)
            file.write_batch(pa.RecordBatch.from_pydict(batch))
            values = {name: column.to_numpy(zero_copy_only=False) for name, column in batch.items()}
            bins = bins or profile_arrays(values, COLUMNS)
            counted.append(profile_arrays(values, COLUMNS, bins))
    return merge_all(counted)


def night_batches(first: int, last: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The night's rows from ``first`` to ``last``."""
    for at in range(first, last, BATCH):
        rows = min(BATCH, last - at)
        drawn = draw(at, rows, drifted=True)
        arrays = [pa.repeat(pa.scalar(NIGHT), rows), *drawn.values()]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def ours(work: Work) -> None:
    """A session as a night has it; the night profiled in the reference's bins, and compared."""
    began = time.perf_counter()
    from nightjar_spark.profiling import profile_table
    from nightjar_spark.session import build_session

    spark = build_session("bench-drift")
    started = time.perf_counter()
    reference = Profile.from_json(Path(work.profile).read_text())
    night = profile_table(spark, work.lake, TABLE.name, COLUMNS, reference, nights=[NIGHT])[NIGHT]
    counted = time.perf_counter()
    drift = compare(night, reference, Drift(), watched=[column.name for column in COLUMNS])
    compared = time.perf_counter()
    measured = {c.name: {"psi": c.raw_psi, "ks": c.ks} for c in drift.columns}
    Path(work.found).write_text(json.dumps({"rows": night.rows, "measures": measured}))
    seconds = {"session": started - began, "count": counted - started, "compare": compared - counted}
    print(
        json.dumps(
            {"seconds": {name: round(value, 2) for name, value in seconds.items()}, "drifted": len(drift.drifted)}
        )
    )
    spark.stop()


def check(work: Work) -> None:
    """Plain numpy on the same bins: PSI of every column, KS of every number; the largest difference from ours."""
    found = json.loads(Path(work.found).read_text())
    bins = Profile.from_json(Path(work.profile).read_text()).columns
    then = {c.name: bin_rows([work.reference], c, bins[c.name]) for c in COLUMNS}
    night = sorted(str(path) for path in Path(work.night).glob("*.parquet"))
    now = {c.name: bin_rows(night, c, bins[c.name]) for c in COLUMNS}
    if found["rows"] != work.rows or any(counts.sum() != work.rows for counts in now.values()):
        raise SystemExit(f"of {work.rows} rows, {found['rows']} were counted")
    differences = [0.0]
    for column in COLUMNS:
        measured = found["measures"][column.name]
        differences.append(abs(plain_psi(then[column.name], now[column.name]) - measured["psi"]))
        if column.kind == "numeric":
            differences.append(abs(plain_ks(then[column.name], now[column.name]) - measured["ks"]))
    print(json.dumps({"max_abs_difference": max(differences)}))


def bin_rows(paths: Sequence[str], column: ProfiledColumn, bins: ColumnProfile) -> NDArray[np.int64]:
    """Rows per bin of one column, the missing ones last."""
    total = np.zeros(len(bins.bins) + 2, np.int64)
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1 << 20, columns=[column.name]):
                values = batch.column(0).to_numpy(zero_copy_only=False)
                if column.kind == "numeric":
                    there = values[~np.isnan(values)]
                    counts = np.histogram(there, [-np.inf, *bins.edges, np.inf])[0]
                else:
                    there = values[values != None]  # noqa: E711 - numpy compares each
                    names, times = np.unique(there.astype(str), return_counts=True)
                    of_name = dict(zip(names.tolist(), times.tolist(), strict=True))
                    listed = [of_name.pop(name, 0) for name in bins.categories]
                    counts = np.array([*listed, sum(of_name.values())])
                total += np.array([*counts, len(values) - len(there)])
    return total


def plain_psi(then: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    """``sum((a - e) ln(a / e))`` of the shares, half a row added to each bin that is not empty in both."""
    used = (then > 0) | (now > 0)
    e, a = then[used] + PSEUDO_COUNT, now[used] + PSEUDO_COUNT
    e, a = e / e.sum(), a / a.sum()
    return float(np.sum((a - e) * np.log(a / e)))


def plain_ks(then: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    """The largest distance of the cumulative shares of the rows with a value."""
    then, now = then[:-1], now[:-1]
    return float(np.max(np.abs(np.cumsum(then) / np.sum(then) - np.cumsum(now) / np.sum(now))))


if __name__ == "__main__":
    task = Work(**json.loads(sys.argv[2]))
    {"make": make, "ours": ours, "check": check}[sys.argv[1]](task)
