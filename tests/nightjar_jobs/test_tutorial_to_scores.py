"""The tutorial works: from the use case that it writes, over its data, to a scored night."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.docs.pages import ROOT, examples

from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_nights
from nightjar.local.scaffold import new_use_case

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.e2e, pytest.mark.spark]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()


def test_the_tutorial_ends_with_the_scores_that_it_promises(
    spark: SparkSession, mlflow_uri: str, tmp_path: Path
) -> None:
    for folder in ("include/use_cases", "dags"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "include" / "use_cases" / "__init__.py").touch()
    new_use_case(tmp_path, "churn")
    declaration = tmp_path / "include" / "use_cases" / "churn" / "use_case.py"
    (first_night,) = re.findall(r"`(first_night=date\(\d+, \d+, \d+\),)`", PAGE)
    changed, places = re.subn(r"first_night=date\(\d+, \d+, \d+\),", first_night, declaration.read_text())
    assert places == 1
    declaration.write_text(changed)
    (landing,) = [found for found in examples() if "tutorial landing" in found.context]
    subprocess.run([sys.executable, "-c", landing.code], cwd=tmp_path, check=True)

    (span,) = re.findall(r"make train USE_CASE=churn FROM=(\S+) TO=(\S+)", PAGE)
    (night,) = re.findall(r"make night USE_CASE=churn DATE=(\S+)", PAGE)
    lake = tmp_path / "var" / "lake"
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("tutorial_programs.py"), lake, *span, night],
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path / "include"),
            "NIGHTJAR_LAKE": str(lake),
            "MLFLOW_TRACKING_URI": mlflow_uri,
            "NIGHTJAR_MODEL_CACHE": str(tmp_path / "models"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    results = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"ingest"')))
    (auc,) = re.findall(r"the AUC is near (0\.\d+)", PAGE)
    assert results["evaluate"]["metrics"]["holdout_auc"] == pytest.approx(float(auc), abs=0.03)
    assert results["promote"]["promoted"] is True
    (entities,) = re.findall(r"^ENTITIES = (\d+)$", PAGE, re.MULTILINE)
    assert results["publish_scores"]["rows_out"] == int(entities)

    (columns, table) = re.findall(r'SQL="SELECT (.*) FROM (scores\.churn)', PAGE)[0]
    rows = read_nights(
        Lake(str(lake)).open_table(table.replace(".", "/")), [date.fromisoformat(night)], columns.split(", ")
    )
    ranked = sorted(rows.to_pylist(), key=lambda row: -row["prediction"])
    assert {row["model_version"] for row in ranked} == {"1"}
    assert ranked[0]["prediction"] > 0.5 > ranked[-1]["prediction"], "events are likely for amounts from 300 to 600"
