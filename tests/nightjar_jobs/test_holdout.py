"""The holdout is read by `evaluate`, once, and by nothing before it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.nightjar_jobs.conftest import USE_CASE, Run

from nightjar.runner import run_program
from nightjar.training.data.training_set import night_of
from nightjar_jobs import evaluate

pytestmark = pytest.mark.e2e


def test_training_succeeds_without_the_holdouts_files_and_evaluation_does_not(
    training_lake: Path, tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(training_lake, lake, ignore=shutil.ignore_patterns("_runs"))
    monkeypatch.setenv("NIGHTJAR_LAKE", str(lake))
    run = Run(lake, "unseen")
    holdout = run.freeze().holdout.days
    gone = [lake / USE_CASE.feature_table.name / f"ds={night_of(day, 1)}" for day in holdout]
    gone += [lake / USE_CASE.label_table.name / f"ds={day}" for day in holdout]
    for folder in gone:
        shutil.rmtree(folder)
    assert run("train").status == "succeeded", run.result("train").error
    evaluated = run_program(evaluate.run, run.spec("evaluate"))
    assert evaluated.status == "failed"
    assert "files of the frozen versions are gone" in evaluated.error
