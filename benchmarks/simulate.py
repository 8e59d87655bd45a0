"""Simulate a year of nights with and without retraining; prints a table and one line of JSON, and draws the year.

``make simulate YEAR=2013``: the programs of nights and trainings themselves, in one Spark session and without Airflow,
on a lake of their own below ``var/simulation/<year>/``. Three months are history and train the first model. The other
nights are scored twice: by that model alone, and by the champion of the day, watched night by night, with a training
wherever monitoring asks for one. Killed, it goes on where it was; ``FORCE=1`` begins anew.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from importlib.metadata import version

from simulation_programs import Programs, session
from simulation_report import write_report
from simulation_year import Year

from nightjar.contracts.use_case import load_use_case
from nightjar.local.paths import Paths
from nightjar.local.plan import USE_CASE
from nightjar.local.progress import Progress
from nightjar.local.server_environment import cores


def main() -> None:
    """Simulate the year that the environment names."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that MLflow's server ends with it
    year = int(os.environ.get("YEAR") or 2013)
    checkout = Paths.here()
    paths = replace(checkout, state=checkout.var / "simulation" / str(year))
    if os.environ.get("FORCE", "") not in {"", "0"}:
        shutil.rmtree(paths.var, ignore_errors=True)
    use_case = load_use_case(USE_CASE)
    with Progress(sys.stderr) as progress, session(paths, os.environ) as spark:
        os.environ["NIGHTJAR_LANDING"] = str(paths.var / "landing")
        programs = Programs(spark, str(paths.lake), use_case)
        simulated = Year(programs, use_case, year, str(paths.lake), progress)
        state = simulated.simulate()
        files, figures = write_report(simulated, use_case, str(paths.lake), checkout.root / "docs")
        for file in files:
            progress.say(f"written: {file}")
    print(json.dumps({
        "benchmark": "simulate", "year": year, "cores": cores(), "seconds": round(state.seconds),
        "nights": (simulated.last - simulated.watched_from).days + 1, **figures,
        "seconds_by_program": {name: round(took) for name, took in sorted(programs.seconds.items())},
        "versions": {name: version(name) for name in ("pyspark", "delta-spark", "mlflow", "xgboost")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
