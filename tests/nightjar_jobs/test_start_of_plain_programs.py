"""What plain programs import: each is a process of its own beside its task, and a night waits for its start."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from nightjar.lake import files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobSpec
from nightjar.protocol.programs import PLAIN_PROGRAMS

HEAVY = {
    "deltalake",
    "great_expectations",
    "mlflow",
    "numpy",
    "onnxruntime",
    "optuna",
    "pandas",
    "pyarrow",
    "pyspark",
    "requests",
    "scipy",
    "sklearn",
    "torch",
    "xgboost",
}
BEFORE_IT_RUNS = {
    "react": {"numpy", "pyarrow"},
    "maintain_lake": {"numpy", "pyarrow"},
    "register": {"numpy"},
    "gate": {"numpy"},
    "promote": {"numpy"},
    "choose_params": {"numpy"},
}
"""Heavy packages that importing a program costs; none for the others."""
TABLES = {"numpy", "pyarrow", "deltalake"}
"""Heavy packages that reading and writing tables of the lake costs."""


def imported(*arguments: str, exit_code: int = 0, **environ: str) -> set[str]:
    """Return the heavy packages that Python imports when it runs with these arguments."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == exit_code, run.stdout + run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in lines}
    # A package that was not found is listed as well, but none of its modules.
    return {module.partition(".")[0] for module in modules if "." in module} & HEAVY


def write_spec(lake: str, program: str) -> str:
    """Write a spec for one night of the flights, and return its place."""
    night = date(2013, 4, 1)
    spec = JobSpec(
        program=program, use_case="flight_delay", first_night=night, last_night=night, dag_id="flight_delay_nightly",
        run_id="night", task_id=program, lake=lake,
    )  # fmt: skip
    files.write_text(f"{spec.output}/spec.json", dump_json(spec))
    return f"{spec.output}/spec.json"


@pytest.mark.parametrize("program", PLAIN_PROGRAMS)
def test_a_plain_program_imports_what_is_heavy_only_when_it_needs_it(program: str) -> None:
    assert imported("-c", f"import nightjar_jobs.{program}") == BEFORE_IT_RUNS.get(program, set())


@pytest.mark.parametrize("program", ["publish_scores", "confirm_champion", "react"])
def test_a_program_of_the_night_reads_and_writes_tables_without_pandas(lake: str, program: str) -> None:
    # Nothing was scored: each program writes its failure to the ledger, a table, and ends with 3.
    assert imported("-m", f"nightjar_jobs.{program}", "--spec", write_spec(lake, program), exit_code=3) == TABLES


def test_landing_on_this_machine_imports_nothing_heavy(lake: str, tmp_path: Path) -> None:
    environ = {"NIGHTJAR_LAKE": lake, "NIGHTJAR_LANDING": f"{tmp_path}/landing", "MLFLOW_TRACKING_URI": "http://none"}
    assert imported("-m", "nightjar_jobs.land", "--spec", write_spec(lake, "land"), **environ) == set()
    assert (tmp_path / "landing/flight_delay/2013-04-01/flights.csv").exists()


def test_arrow_converts_from_and_to_pandas_after_a_start_without_it() -> None:
    program = (
        "from nightjar.lake.arrow_start import start_arrow_without_pandas\n"
        "start_arrow_without_pandas()\n"
        "import sys, pyarrow as pa\n"
        "assert pa.array(['a', None]).null_count == 1 and 'pandas' not in sys.modules\n"
        "import pandas as pd\n"
        "frame = pd.DataFrame({'a': [1, 2], 'b': ['x', None], 't': pd.to_datetime(['2020-01-01', None], utc=True)})\n"
        "assert pa.array(frame['b']).null_count == 1\n"
        "assert pa.Table.from_pandas(frame).to_pandas().equals(frame)\n"
    )
    assert "pandas" in imported("-c", program)
