"""Measure scoring against a bare loop and against MLflow's ``spark_udf``, in one run; prints one line of JSON.

``make bench-score`` (``ROWS=4000000``, ``EXPLAIN=3``). Three ways over the same Delta table, each in a process of its
own on the same cores: a bare loop (pyarrow reads Parquet, XGBoost predicts, pyarrow writes Parquet), ``spark_udf`` onto
Delta, and the night's `score` with the commit of `publish_scores`. The first pass of a process is cold and gives
``process_seconds``, from its start to the end of that pass; three more give the median of rows a second. Every way's
predictions are compared row by row and must be equal. Memory is the largest resident size of all processes together.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

HERE = Path(__file__).parent
PROJECT = HERE / "project"
sys.path.insert(0, str(PROJECT))  # its use cases replace the project's

from nightjar.lake.lake import Lake  # noqa: E402
from nightjar.protocol.data_file import DataFile  # noqa: E402  # noqa: E402
from use_cases.floats.use_case import USE_CASE as FLOATS  # noqa: E402

WARM = 3
WAYS = ("bare", "spark_udf", "ours")
WORKLOADS = {"floats": 1.0, "synthetic": 1.0, "flight_delay": 0.25}
"""Use case to its share of ROWS: 20 floats; 17 numbers and 3 categories; the flights' columns, on drawn rows."""
PACKAGES = ("xgboost", "pyspark", "pyarrow", "deltalake", "mlflow", "numpy")


@dataclass(frozen=True)
class Measured:
    """What one way has taken.

    Attributes:
        process_seconds: From the start of the process to the end of its first pass.
        warm_seconds: Of each later pass.
        peak_bytes: Resident, all processes together.
        said: What the last pass has printed.
    """

    process_seconds: float
    warm_seconds: list[float]
    peak_bytes: int
    said: dict[str, float]


def run(way: str, work: dict[str, Any]) -> Measured:
    """Run one way in a process of its own."""
    environ = {**os.environ, "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))}
    if work["use_case"] != "flight_delay":
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), environ.get("PYTHONPATH")]))
    command = [sys.executable, str(HERE / "score_work.py"), way, json.dumps(work)]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        with Memory(process.pid) as memory:
            lines, first = [], 0.0
            for line in process.stdout or ():
                if line.startswith("{"):
                    first = first or time.perf_counter() - began
                    lines.append(json.loads(line))
        if process.wait():
            errors.seek(0)
            raise SystemExit(f"{way} failed:\n{errors.read()[-4000:]}")
    seconds = [line["seconds"] for line in lines if "seconds" in line]
    print(f"{work['use_case']} {way}: {[round(s, 1) for s in seconds]} s, first after {first:.1f} s", file=sys.stderr)
    return Measured(process_seconds=first, warm_seconds=seconds[1:], peak_bytes=memory.peak, said=lines[-1])


class Memory:
    """Largest resident size of a session's processes together, sampled while entered."""

    def __init__(self, session: int) -> None:
        self.peak = 0
        self._session = session
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._over.wait(0.2):
            total = 0
            for stat in Path("/proc").glob("[0-9]*/stat"):
                try:
                    after_name = stat.read_text().rsplit(")", 1)[1].split()
                except OSError:  # it has ended meanwhile
                    continue
                if int(after_name[3]) == self._session:
                    total += int(after_name[21]) * page
            self.peak = max(self.peak, total)


def measure(use_case: str, rows: int, folder: str) -> dict[str, Any]:
    """All three ways over one table."""
    lake = f"{folder}/{use_case}"
    work = {"use_case": use_case, "lake": lake, "rows": rows, "passes": 1 + WARM}
    made = run("make", {**work, "out": ""})
    measured = {}
    for way in WAYS:
        out = f"{folder}/{use_case}-{way}"
        Path(f"{out}.model").write_text(json.dumps(made.said))
        measured[way] = run(way, {**work, "out": out})
    check_equal(use_case, rows, folder)
    speed = {way: rows / statistics.median(figures.warm_seconds) for way, figures in measured.items()}
    udf, mine = measured["spark_udf"], measured["ours"]
    return {
        "rows": rows,
        "vs_bare_loop": round(speed["ours"] / speed["bare"], 3),
        "vs_spark_udf": round(speed["ours"] / speed["spark_udf"], 2),
        "process_vs_spark_udf": round(mine.process_seconds / udf.process_seconds, 3),
        **{
            way: {
                "rows_per_second": round(speed[way]),
                "warm_seconds": [round(seconds, 2) for seconds in figures.warm_seconds],
                "process_seconds": round(figures.process_seconds, 1),
                "peak_mb": round(figures.peak_bytes / 2**20),
            }
            for way, figures in measured.items()
        },
        "worker_peak_mb": mine.said["worker_peak_mb"],
    }


def check_equal(use_case: str, rows: int, folder: str) -> None:
    """Every row has the same prediction by each way."""
    table = DeltaTable(f"{folder}/{use_case}/scores/{use_case}").to_pyarrow_dataset()
    key = "id" if "id" in table.schema.names else "flight"
    outputs = {
        "bare": ds.dataset(f"{folder}/{use_case}-bare"),
        "spark_udf": DeltaTable(f"{folder}/{use_case}-spark_udf").to_pyarrow_dataset(),
        "ours": table,
    }
    columns = {way: read.to_table(columns=[key, "prediction"]).sort_by(key) for way, read in outputs.items()}
    for way, column in columns.items():
        if column.num_rows != rows or not column.equals(columns["bare"].cast(column.schema)):
            raise SystemExit(f"{use_case}: {way} gives other predictions than the bare loop")


def ten_times(rows: int, folder: str) -> float:
    """Peak memory of a worker, in MB, over ten times as many rows: each file of the floats under ten names."""
    few, many = f"{folder}/floats", f"{folder}/ten"
    shutil.copytree(f"{few}/models", f"{many}/models")
    table = FLOATS.feature_table
    named = []
    for held in pa.table(DeltaTable(f"{few}/{table.name}").get_add_actions(flatten=True)).to_pylist():
        for copy in range(10):
            path = held["path"].replace("part-", f"part-{copy}-")
            Path(many, table.name, path).parent.mkdir(parents=True, exist_ok=True)
            os.link(f"{few}/{table.name}/{held['path']}", f"{many}/{table.name}/{path}")
            night, count = str(held["partition.ds"]), held["num_records"]
            stats = json.dumps({"numRecords": count})
            named.append(DataFile(path=path, partition={"ds": night}, size=held["size_bytes"], rows=count, stats=stats))
    Lake(many).table(table).commit(named, [date.fromisoformat(night)], run_id="bench")
    shutil.copy(f"{folder}/floats-ours.model", f"{folder}/ten-ours.model")
    work = {"use_case": "floats", "lake": many, "rows": 10 * rows, "passes": 1, "out": f"{folder}/ten-ours"}
    return run("ours", work).said["worker_peak_mb"]


def explained(rows: int, folder: str) -> dict[str, Any]:
    """Rows a second with reason codes, against without on the same rows."""
    plain, with_reasons = (measure_ours(use_case, rows, folder) for use_case in ("floats", "floats_explained"))
    return {"rows": rows, "rows_per_second": round(with_reasons), "cost": round(plain / with_reasons, 1)}


def measure_ours(use_case: str, rows: int, folder: str) -> float:
    """Warm rows a second of ours alone."""
    out = f"{folder}/explain-{use_case}"
    work = {"use_case": use_case, "lake": out, "rows": rows, "passes": 1 + WARM, "out": out}
    Path(f"{out}.model").write_text(json.dumps(run("make", work).said))
    return rows / statistics.median(run("ours", work).warm_seconds)


def main() -> None:
    """Print the line."""
    rows = int(os.environ.get("ROWS") or 4_000_000)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        workloads = {
            use_case: measure(use_case, max(1000, int(rows * share)), folder) for use_case, share in WORKLOADS.items()
        }
        ten = ten_times(rows, folder)
        explain = explained(max(1000, rows // 20), folder) if os.environ.get("EXPLAIN") else None
    floats = workloads["floats"]
    print(
        json.dumps(
            {
                "benchmark": "score",
                "rows": rows,
                "vs_bare_loop": floats["vs_bare_loop"],
                "vs_spark_udf": floats["vs_spark_udf"],
                "process_vs_spark_udf": floats["process_vs_spark_udf"],
                "worker_memory_10x_rows": round(ten / floats["worker_peak_mb"], 2),
                "equal_predictions": True,
                "workloads": workloads,
                **({"explain": {"reasons": int(os.environ["EXPLAIN"]), **explain}} if explain else {}),
                "cores": len(os.sched_getaffinity(0)),
                "versions": {name: version(name) for name in PACKAGES},
            }
        )
    )


if __name__ == "__main__":
    main()
