"""Measure a night's drift against Evidently's ``DataDriftPreset``, in one run; prints one line of JSON.

``make bench-drift`` (``SIZES=300000,3000000,30000000``). A night of 20 columns (15 numbers, 5 categories) as a Delta
table. Ours is a whole ``spark-submit``, as a night's is: a session is started, the night is profiled in the bins of the
reference's profile (which a training has stored) in one pass, and compared. Theirs is a whole process as well, in an
environment of its own below ``var/``: pandas reads night and reference, and the preset compares them. The reference has
as many rows as the night, at most 3 million. Every PSI and, of numbers, KS of ours is compared with plain numpy on the
same bins. Memory is the largest resident size of all processes together. Sizes above 3 million are not given to
Evidently.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from drift_work import MOST_REFERENCE_ROWS, Work
from score import Memory

from nightjar.local import environment
from nightjar.local.class_archive import archive_of
from nightjar.local.paths import Paths
from nightjar.local.server_environment import spark_connection
from nightjar.local.steps import SetupError, run_logged

HERE = Path(__file__).parent
SIZES = "300000,3000000,30000000"
PASSES = 3
"""Passes of ours at a size that Evidently also runs at; more of them, because a short pass is noisier."""
MOST_EVIDENTLY_ROWS = 3_000_000
EVIDENTLY = ("evidently==0.7.23", "pandas==2.3.3", "pyarrow")
PACKAGES = ("pyspark", "pyarrow", "deltalake", "numpy")


@dataclass(frozen=True)
class Measured:
    """One whole process: its seconds, the most memory of all its processes together, and the line that it printed."""

    seconds: float
    peak_bytes: int
    said: dict[str, Any]


def run(name: str, command: Sequence[str | Path]) -> Measured:
    """Run one process and measure it.

    Raises:
        SystemExit: when it fails.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        with Memory(process.pid) as memory:
            lines = [line for line in process.stdout or () if line.startswith("{")]
            failed = process.wait()
        seconds = time.perf_counter() - began
        if failed:
            errors.seek(0)
            raise SystemExit(f"{name} failed:\n{errors.read()[-4000:]}")
    print(f"{name}: {seconds:.1f} s, {memory.peak >> 20} MB, {lines[-1].strip()}", file=sys.stderr)
    return Measured(seconds=seconds, peak_bytes=memory.peak, said=json.loads(lines[-1]))


def ours(work: str) -> list[str | Path]:
    """The command that submits our program, under the settings of the project's own Spark connection."""
    paths = Paths.here()
    archive = archive_of(paths, Path(os.environ["JAVA_HOME"]))
    connection = json.loads(spark_connection(len(os.sched_getaffinity(0)), archive))
    conf = [part for name, value in connection["extra"]["conf"].items() for part in ("--conf", f"{name}={value}")]
    jars = ",".join(str(path) for path in sorted(paths.jars.glob("*.jar")))
    submit = paths.spark_home / "bin" / "spark-submit"
    return [submit, "--master", connection["host"], "--jars", jars, *conf, HERE / "drift_work.py", "ours", work]


def evidently_python() -> Path:
    """Python of an environment that holds Evidently, made when it is not there.

    Raises:
        SetupError: when it cannot be made.
    """
    paths = Paths.here()
    folder, log = paths.var / "bench" / EVIDENTLY[0].replace("==", "-"), paths.var / "logs" / "bench-drift.log"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        uv, environ = environment.install_uv(paths, log), environment.uv_environ()
        run_logged([uv, "venv", "--clear", "--python", sys.executable, folder], log, environ)
        run_logged([uv, "pip", "install", "--python", python, *EVIDENTLY], log, environ)
        done.touch()
    return python


def measure(rows: int, folder: str, evidently: Path | None) -> dict[str, Any]:
    """Both ways over one night, and plain numpy."""
    work = Work(folder=folder, rows=rows)
    given = json.dumps({"folder": folder, "rows": rows})
    program: list[str | Path] = [sys.executable, HERE / "drift_work.py"]
    run(f"{rows} rows", [*program, "make", given])
    passes = [run(f"{rows} ours", ours(given)) for _ in range(PASSES if rows <= MOST_EVIDENTLY_ROWS else 1)]
    difference = run(f"{rows} numpy", [*program, "check", given]).said["max_abs_difference"]
    seconds = statistics.median(timing.seconds for timing in passes)
    theirs = None
    if evidently and rows <= MOST_EVIDENTLY_ROWS:
        theirs = run(f"{rows} evidently", [evidently, HERE / "drift_evidently.py", work.reference, work.night])
    return {
        "rows": rows,
        "reference_rows": min(rows, MOST_REFERENCE_ROWS),
        "vs_evidently": round(theirs.seconds / seconds, 1) if theirs else None,
        "max_abs_difference_numpy": difference,
        "ours": {
            "seconds": round(seconds, 1),
            "passes": [{"process": round(timing.seconds, 1), **timing.said["seconds"]} for timing in passes],
            "rows_per_second": round(rows / seconds),
            "peak_mb": max(timing.peak_bytes for timing in passes) >> 20,
        },
        "evidently": {
            "seconds": round(theirs.seconds, 1),
            "rows_per_second": round(rows / theirs.seconds),
            "peak_mb": theirs.peak_bytes >> 20,
            "versions": theirs.said["versions"],
        }
        if theirs
        else None,
    }


def summary(measured: Mapping[int, Mapping[str, Any]], no_evidently: str | None) -> dict[str, Any]:
    """The line: figures of each size, and those that have a bar."""
    middle, large = measured.get(3_000_000), measured.get(30_000_000)
    return {
        "benchmark": "drift",
        "vs_evidently_3m": middle["vs_evidently"] if middle else None,
        "rss_30m_over_3m": round(large["ours"]["peak_mb"] / middle["ours"]["peak_mb"], 2) if large and middle else None,
        "max_abs_difference_numpy": max(timing["max_abs_difference_numpy"] for timing in measured.values()),
        "columns": 20,
        "sizes": list(measured.values()),
        "no_evidently": no_evidently,
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: version(name) for name in PACKAGES},
    }


def main() -> None:
    """Print the line."""
    sizes = [int(size) for size in (os.environ.get("SIZES") or SIZES).split(",")]
    evidently, no_evidently = None, None
    try:
        evidently = evidently_python()
    except SetupError as error:
        no_evidently = str(error)
    measured = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            measured[rows] = measure(rows, folder, evidently)
    print(json.dumps(summary(measured, no_evidently)))


if __name__ == "__main__":
    main()
