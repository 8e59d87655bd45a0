"""Smaller models of a training, from evaluation to promotion, on a real MLflow server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.nightjar_jobs.promotions import add_smaller_models, run_programs
from tests.program_results import own_fields

from nightjar.problems.binary.calibration import Calibrator
from nightjar.protocol.documents import dump_values
from nightjar.protocol.errors import ModelError
from nightjar.registry import models
from nightjar_spark.freeze_training_set import full_model

pytestmark = pytest.mark.e2e


def test_a_smaller_model_that_loses_little_becomes_champion_with_its_own_version(
    start_run: Callable[[str], Any],
) -> None:
    import mlflow

    run = start_run("a")
    add_smaller_models(run, calibrator=Calibrator(method="platt"), pruned=5, int8=155)
    measured = run_programs(run, "evaluate").metrics
    assert measured["pruned_holdout_rows"] == measured["int8_holdout_rows"] == measured["holdout_rows"] == 2030
    assert measured["pruned_holdout_log_loss"] > measured["int8_holdout_log_loss"]
    # the margin is the use case's; these are the metrics of the gate
    run.change("evaluate", pruned_holdout_log_loss=measured["holdout_log_loss"] + 0.003, pruned_holdout_auc=0.59)
    run.change("evaluate", int8_holdout_log_loss=measured["holdout_log_loss"] + 0.001)
    registered = run_programs(run, "register").versions
    assert set(registered) == {"full", "int8", "pruned"}
    assert len(set(registered.values())) == 3
    gate = run_programs(run, "gate")
    assert (gate.candidate, gate.model_version) == ("int8", registered["int8"])
    decisions = {name: candidate.verdict for name, candidate in gate.candidates.items()}
    assert decisions == {"full": "passed_over", "int8": "promote", "pruned": "refused"}
    assert run_programs(run, "promote").promoted is True
    champion = models.champion("flight_delay")
    assert champion is not None
    assert (champion.version, champion.tags["nightjar.variant"]) == (registered["int8"], "int8")
    assert champion.sha256 == run.result("train").compressed["int8"].model_sha256
    assert float(champion.tags["nightjar.log_loss_worse_by"]) == pytest.approx(0.001)
    assert (champion.tags["nightjar.bytes"], champion.tags["nightjar.full_bytes"]) == ("1000", "9000")
    logged = mlflow.MlflowClient().get_run(champion.run_id).data
    assert logged.metrics["holdout_log_loss"] == pytest.approx(measured["holdout_log_loss"] + 0.001)
    assert logged.metrics["baseline_holdout_log_loss"] == measured["baseline_holdout_log_loss"]
    assert logged.metrics["rows_per_second"] == 5e5
    own = {"eta": "0.5", "num_rounds": "155", "rounds": "155", "compression": "int8", "calibration": "platt"}
    assert own.items() <= logged.params.items()
    assert logged.params["made_from_sha256"] == run.result("train").model_sha256
    assert logged.params["train days"] == "2013-01-02 to 2013-01-14"
    assert "max_depth" not in logged.params, "a parameter of the full model"
    of_full = mlflow.MlflowClient().get_run(models.resolve("flight_delay", registered["full"]).run_id).data.params
    assert {"num_rounds", "max_depth", "weight", "class_weights"} <= set(of_full)
    assert len({name.rsplit(".", 1)[-1] for name in logged.params}) == len(logged.params), "nothing twice"
    pruned = models.resolve("flight_delay", registered["pruned"])
    assert "misses the floor" in pruned.tags["nightjar.verdict_reasons"]
    assert "beyond 0.002" in pruned.tags["nightjar.verdict_reasons"]
    (event,) = run.events("gate")
    assert event["details"]["candidates"] == {name: dump_values(c) for name, c in gate.candidates.items()}
    fetched = models.fetch(champion)
    assert fetched.card.members[0].rounds == 155
    # a training that goes on from this champion goes on from the full model that it was made from
    assert full_model(champion).version == full_model(full_model(champion)).version == registered["full"]
    with pytest.raises(ModelError, match=r"is compressed \(int8\), and the full model of its training is not"):
        full_model(replace(champion, tags={**champion.tags, models.RUN_TAG: "gone"}))


def test_a_run_with_smaller_models_that_is_cleared_registers_and_judges_as_it_did(
    start_run: Callable[[str], Any],
) -> None:
    run = start_run("a")
    add_smaller_models(run, int8=160)  # all of its rounds: it loses nothing
    first = run_programs(run, "evaluate", "register", "gate", "promote")
    assert first.promoted is True
    before = {task: own_fields(run.result(task)) for task in ("register", "gate")}
    again = run_programs(run, "evaluate", "register", "gate", "promote")
    assert again.promoted is True
    assert {task: own_fields(run.result(task)) for task in before} == before
    assert before["gate"]["candidate"] == "int8"
    assert len(run.events("promotion")) == 1


def test_a_smaller_model_altered_after_training_is_not_registered(start_run: Callable[[str], Any]) -> None:
    run = start_run("a")
    add_smaller_models(run, int8=100)
    run_programs(run, "evaluate")
    path = Path(f"{run.spec('train').output}/model-int8/boosting.ubj")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    result = run_programs(run, "register")
    assert result.error_kind == "model", result.error
    assert "model-int8/boosting.ubj" in result.error
