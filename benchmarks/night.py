"""Measure one night through Airflow, from trigger to published scores and drift report; prints one line of JSON.

``make bench-night`` after ``make run``. The night is run again from the same landed files, so every run measures the
same work; a plain pandas script does the same night in the same run, as a yardstick (whole process, median of three).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import load_use_case
from nightjar.lake.results import read_result
from nightjar.local import plan
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.session import any_servers
from nightjar.protocol.results import ScoreResult

NIGHT = date(2013, 4, 3)
PACKAGES = ("apache-airflow", "pyspark", "delta-spark", "deltalake", "mlflow", "xgboost", "great-expectations")


def run_night(paths: Paths) -> tuple[float, int, Path]:
    """Run the night again through Airflow; return its seconds, the Spark applications started, and its folder."""
    use_case = load_use_case(plan.USE_CASE)
    with Progress(sys.stderr) as progress, any_servers(paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(use_case)[2:])
        request = session.follower.find(plan.night(use_case, NIGHT))
        session.follower.ensure(request)
        folder = paths.lake / "_runs" / request.dag_id / request.run_id
        before = applications(folder)
        began = time.perf_counter()
        session.follower.ensure(request, again=True)
        seconds = time.perf_counter() - began
    return seconds, applications(folder) - before, folder


def applications(folder: Path) -> int:
    """Spark applications that have served the run so far."""
    return len(list((folder / "_spark" / "applications").glob("*")))


def plain_seconds(paths: Paths, model_folder: str) -> tuple[float, dict[str, float]]:
    """Median seconds of the plain script's whole process over three runs, and what it printed last."""
    took, said = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            began = time.perf_counter()
            arguments = [
                str(paths.lake / "landing" / plan.USE_CASE),
                model_folder,
                str(NIGHT),
                f"{folder}/scores.parquet",
            ]
            script = Path(__file__).with_name("plain_night.py")
            done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=True)
            took.append(time.perf_counter() - began)
            said = json.loads(done.stdout.splitlines()[-1])
    return statistics.median(took), said


def main() -> None:
    """Print the line."""
    paths = Paths.here()
    total, started, folder = run_night(paths)
    results = {path.parent.name: read_result(str(path)) for path in folder.glob("*/result.json")}
    tasks = {task: round(result.seconds["total"], 2) for task, result in sorted(results.items())}
    scored = results["score"]
    if not isinstance(scored, ScoreResult):
        raise SystemExit(f"the night has no scores: {scored.error}")
    plain, said = plain_seconds(paths, scored.parts[CHAMPION].scoring_model.folder)
    print(
        json.dumps(
            {
                "benchmark": "night",
                "night": str(NIGHT),
                "rows": results["score"].rows_out,
                "total_seconds": round(total, 1),
                "airflow_seconds": round(total - sum(tasks.values()), 1),
                "task_seconds": tasks,
                "spark_applications": started,
                "plain_script_seconds": round(plain, 2),
                "plain_script": said,
                "vs_plain_script": round(total / plain, 1),
                "cores": len(os.sched_getaffinity(0)),
                "versions": {name: version(name) for name in PACKAGES},
            }
        )
    )


if __name__ == "__main__":
    main()
