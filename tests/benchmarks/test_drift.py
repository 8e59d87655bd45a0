"""The benchmarks of drift on few rows: their lines hold what the docs read, and the check of the figures can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def run(command: list[str], **environ: str) -> Any:
    """The last line that it prints, read."""
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.spark
def test_a_nights_figures_are_numpys_and_another_figure_is_noticed(tmp_path: Path) -> None:
    work = json.dumps({"folder": str(tmp_path), "rows": 5000})
    program = [sys.executable, str(BENCHMARKS / "drift_work.py")]
    run([*program, "make", work])
    submit = f"import subprocess, drift; subprocess.run(drift.ours({work!r}), check=True)"
    said = run([sys.executable, "-c", submit], PYTHONPATH=str(BENCHMARKS))
    assert said["drifted"] == 5
    assert set(said["seconds"]) == {"session", "count", "compare"}
    assert run([*program, "check", work])["max_abs_difference"] < 1e-6
    found = json.loads((tmp_path / "found.json").read_text())
    found["measures"]["category_0"]["psi"] += 0.01
    (tmp_path / "found.json").write_text(json.dumps(found))
    assert run([*program, "check", work])["max_abs_difference"] == pytest.approx(0.01)


def test_power_and_false_alarms_of_few_nights() -> None:
    line = run([sys.executable, str(BENCHMARKS / "drift_power.py")], NIGHTS="10", OMP_NUM_THREADS="1")
    assert line["false_alarm_rate"] <= line["declared_false_alarm_rate"] == 0.05
    assert set(line["power_middle"]) == {"mean", "scale", "mix", "missing"}
    assert line["least_power_middle"] == min(line["power_middle"].values())
    assert [row["strength"] for row in line["power"][:3]] == [0.25, 0.5, 1.0]
    for row in line["power"]:
        assert all(0 <= share <= 1 for share in row["flight"].values())
