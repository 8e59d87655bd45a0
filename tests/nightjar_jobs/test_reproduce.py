"""A registered version is trained again from what MLflow holds, in fresh processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from nightjar.lake import files
from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.errors import ModelError, TrainingError
from nightjar.registry import artifacts, models
from nightjar.runner import run_program
from nightjar.training.data.training_set import TrainingSet, training_set_uri
from nightjar.training.engines.boosting.model import FILE
from nightjar.training.model import CARD_FILE, PROFILE_FILE, TabularModel
from nightjar_jobs import evaluate, register
from nightjar_jobs.reproduce import reproduce

pytestmark = pytest.mark.e2e


@pytest.fixture
def version(trained: Any, new_run: Callable[..., Any], registry: str, request: pytest.FixtureRequest) -> str:
    """A registered version of the trained model."""
    run = new_run(f"registered-{request.node.name}")
    run.adopt(trained, "freeze_training_set", "train")
    for program in (evaluate, register):
        result = run_program(program.run, run.spec(program.__name__.rsplit(".", 1)[1]))
        assert result.status == "succeeded", result.error
    return str(result.model_version)


def test_a_version_is_the_same_to_the_byte_when_trained_again(version: str) -> None:
    reproduction = reproduce("flight_delay", version)
    assert set(reproduction.sha256) == {FILE, CARD_FILE, PROFILE_FILE}
    assert reproduction.differing == ()


def test_other_trees_are_an_error_with_both_hashes(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logged = artifacts.read_text

    def another_seed(run_id: str, name: str) -> str:
        training_set = load_json(TrainingSet, logged(run_id, name))
        return dump_json(replace(training_set, recipe=replace(training_set.recipe, seed=1)))

    monkeypatch.setattr(artifacts, "read_text", another_seed)
    with pytest.raises(
        TrainingError, match=r"the trees are not those of version 1: SHA-256 \w{64}, not \w{64}"
    ) as caught:
        reproduce("flight_delay", version)
    assert "at commit c0ffee then" in caught.value.fix


def test_a_vacuumed_version_is_refused_clearly(
    version: str, training_lake: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    lake = tmp_path / "lake"
    for table in ("features/flight_delay", "labels/flight_delay"):
        shutil.copytree(training_lake / table, lake / table)
    table = DeltaTable(str(lake / "features/flight_delay"))
    rows: pa.Table = table.to_pyarrow_table()
    write_deltalake(table, rows.slice(0, 10), mode="overwrite")
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    monkeypatch.setenv("NIGHTJAR_LAKE", str(lake))
    with pytest.raises(
        TrainingError, match="could not be trained again: files of the frozen versions are gone"
    ) as caught:
        reproduce("flight_delay", version)
    assert "features/flight_delay version 33" in str(caught.value)


def test_missing_version_is_reported(registry: str) -> None:
    with pytest.raises(ModelError, match="flight_delay has no version 7"):
        reproduce("flight_delay", "7")


def test_a_smaller_version_is_made_again_with_the_model_that_it_was_made_from(
    new_run: Callable[..., Any], registry: str
) -> None:
    run = new_run("smaller")
    frozen = run.freeze()
    engine = replace(frozen.recipe.engines[0], num_rounds=20)
    wanted = replace(frozen, recipe=replace(frozen.recipe, engines=(engine,), compression=("distilled",)))
    files.write_text(training_set_uri(run.spec("train")), dump_json(wanted))
    assert run("train").status == "succeeded"
    for program in (evaluate, register):
        result = run_program(program.run, run.spec(program.__name__.rsplit(".", 1)[1]))
        assert result.status == "succeeded", result.error
    versions = result.versions
    assert reproduce("flight_delay", versions["distilled"]).differing == ()
    full = TabularModel.load(run.result("train").model)
    student = models.fetch(models.resolve("flight_delay", versions["distilled"]))
    assert (full.card.members[0].rounds, student.card.members[0].rounds) == (20, 60)
