"""Simulate a year of nights with and without retraining; prints a table and one line of JSON, and draws the year.

``make simulate YEAR=2013``: the programs of nights and trainings themselves, in one Spark session and without Airflow,
on a lake of their own below ``var/simulation/<year>/``. Three months are history and train the first model. The other
nights are scored twice: by that model alone, and by the champion of the day, watched night by night, with a training
wherever monitoring asks for one. Killed, it resumes where it was; ``FORCE=1`` starts over.
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

from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.local.paths import Paths
from nightjar.local.plan import USE_CASE, chosen_use_case
from nightjar.local.progress import Progress
from nightjar.local.server_environment import cores
from nightjar.protocol.errors import ConfigurationError


def main() -> None:
    """Simulate the year that the environment names."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that MLflow's server ends with it
    try:
        use_case = chosen_use_case(os.environ.get("USE_CASE", ""))
        year = recorded_year(use_case, os.environ.get("YEAR", "").strip())
    except ConfigurationError as error:
        sys.exit(str(error))
    checkout = Paths.here()
    folder = str(year) if use_case.name == USE_CASE else f"{use_case.name}-{year}"
    paths = replace(checkout, state=checkout.var / "simulation" / folder)
    if os.environ.get("FORCE", "") not in {"", "0"}:
        shutil.rmtree(paths.var, ignore_errors=True)
    with Progress(sys.stderr) as progress, session(paths, os.environ) as spark:
        os.environ["NIGHTJAR_LANDING"] = str(paths.var / "landing")
        lake = Lake(str(paths.lake))
        programs = Programs(spark, lake, use_case)
        simulated = Year(programs, use_case, year, lake, progress)
        state = simulated.simulate()
        files, figures = write_report(simulated, use_case, lake, checkout.root / "docs")
        for file in files:
            progress.say(f"written: {file}")
    print(json.dumps({
        "benchmark": "simulate", "year": year, "cores": cores(), "seconds": round(state.seconds),
        "nights": (simulated.last - simulated.watched_from).days + 1, **figures,
        "seconds_by_program": {name: round(took) for name, took in sorted(programs.seconds.items())},
        "versions": {name: version(name) for name in ("pyspark", "delta-spark", "mlflow", "xgboost")},
    }))  # fmt: skip


def recorded_year(use_case: UseCase, year: str) -> int:
    """The year to simulate, by default the first one of the record.

    Raises:
        ConfigurationError: when the use case has no record of that year to replay.
    """
    first, last = use_case.schedule.first_night, use_case.schedule.last_night
    if not use_case.data.replay or last is None:
        raise ConfigurationError(
            f"{use_case.name} has no recorded year to simulate",
            where=f"use case {use_case.name}",
            fix="declare `Data.replay` and `Schedule.last_night`, with a module `landing` that lands its nights",
        )
    if year and not (year.isdecimal() and first.year <= int(year) <= last.year):
        raise ConfigurationError(
            f"{year!r} is not a year of the record of {use_case.name}",
            where="YEAR",
            fix=f"choose {first.year} to {last.year}",
        )
    return int(year or first.year)


if __name__ == "__main__":
    main()
