"""Tuning by real worker processes on one study: killed, resumed, and trained with the best parameters."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from nightjar.declaration.engines import Boosting
from nightjar.declaration.spaces import Choice, FloatRange, IntRange
from nightjar.declaration.training import Tuning
from nightjar.lake import files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import ConfigurationError, TrainingError, UnreachableError
from nightjar.protocol.job import JobResult
from nightjar.protocol.results import parse_result
from nightjar.runner import run_program
from nightjar.training.data.training_set import CHOOSE_TASK, TrainingSet, training_set_uri
from nightjar.training.model import TabularModel
from nightjar.training.tuning.study import EngineStudy
from nightjar_jobs import choose_params, tune

pytestmark = pytest.mark.e2e
MakeRun = Callable[..., Any]

ENGINE = Boosting(
    params={"max_depth": 3, "eta": 0.3, "grow_policy": "depthwise"},
    num_rounds=40,
    early_stopping_rounds=None,
    space={
        "max_depth": IntRange(1, 6),
        "eta": FloatRange(0.01, 0.5, log=True),
        "num_rounds": IntRange(20, 60),
        "grow_policy": Choice(("depthwise", "lossguide")),
    },
)
IMPOSSIBLE = f"({','.join('0' * 1000)})"
"""More constraints than there are features, which XGBoost refuses when it trains."""
TOO_MANY = {"monotone_constraints": Choice(("(0)", IMPOSSIBLE))}
TUNING = Tuning(trials=8, workers=2, folds=2, gap_days=1)


def frozen(run: Any, tuning: Tuning = TUNING, *engines: Boosting) -> TrainingSet:
    """The run's training set, frozen with these engines to be tuned."""
    training_set = run.freeze()
    recipe = replace(training_set.recipe, engines=engines or (ENGINE,), tuning=tuning, decisive_metric="auc")
    training_set = replace(training_set, recipe=recipe)
    files.write_text(training_set_uri(run.spec("tune")), dump_json(training_set))
    return training_set


def study_of(run: Any, training_set: TrainingSet) -> EngineStudy:
    """What the run's study holds, for one who looks on."""
    return EngineStudy(run.spec("choose_params"), training_set, training_set.recipe.engines[0])


def result_of(launched: Any) -> JobResult:
    launched.ranks.wait()
    return parse_result(files.read_text(f"{launched.spec.output}/result.json"))


def test_two_workers_share_a_study_that_a_kill_does_not_shorten(new_run: MakeRun) -> None:
    run = new_run("tuned")
    training_set = frozen(run)
    workers = [run.launch("tune", map_index=index) for index in (0, 1)]
    study = study_of(run, training_set)

    def running(worker: int) -> list[int]:
        trials = study._trials(TrialState.RUNNING)
        mine = [trial for trial in trials if trial.user_attrs.get("worker") == worker]
        return [trial.number for trial in mine if len(trial.params) == len(ENGINE.space)]  # suggested to the last one

    while sum(study.counts().values()) < 2 or not (left := running(0)):
        assert sum(study.counts().values()) < 6, "worker 0 must be caught in a trial"
    os.kill(workers[0].ranks._ranks[0].process.pid, signal.SIGKILL)
    assert result_of(workers[0]).status == "failed"
    cut = [trial for trial in study._trials() if trial.number in left]
    assert result_of(workers[1]).status == "succeeded"

    again = run.launch("tune", map_index=0)
    assert result_of(again).status == "succeeded"
    assert any("1 unfinished trial of an earlier attempt" in line for line in again.lines)

    counts = study.counts()
    assert sum(counts.values()) == counts["completed"] + counts["pruned"] == TUNING.trials
    assert study.is_exhausted
    trials = study._counted()
    assert {trial.user_attrs["worker"] for trial in trials} == {0, 1}
    assert trials[0].params == {"max_depth": 3, "eta": 0.3, "num_rounds": 40, "grow_policy": "depthwise"}
    assert cut[0].params in [trial.params for trial in trials], "what was cut off is tried again"
    assert len({json.dumps(trial.params) for trial in trials}) == TUNING.trials, "workers suggest each their own"

    chosen = run_program(choose_params.run, run.spec("choose_params"))
    assert chosen.status == "succeeded", chosen.error
    best = max(study._trials(TrialState.COMPLETE), key=lambda trial: trial.values[0])
    assert chosen.metrics["boosting_best_auc"] == best.values[0] >= chosen.metrics["boosting_declared_auc"] > 0.6
    assert chosen.metrics["boosting_trials_completed"] == counts["completed"]
    final = TrainingSet.of_run(run.spec("train"))
    assert final.recipe == replace(training_set.recipe, engines=(ENGINE.with_params(best.params),), tuning=None)
    assert final.rows == training_set.rows

    trained = run("train")
    assert trained.status == "succeeded", trained.error
    assert trained.training_set_sha256 == final.sha256
    card = TabularModel.load(trained.model).card.members[0]
    assert card.rounds == best.params["num_rounds"]
    assert {name: card.params[name] for name in best.params if name != "num_rounds"} == {
        name: value for name, value in best.params.items() if name != "num_rounds"
    }

    nothing_left = run_program(tune.run, run.spec("tune", 1))
    assert (nothing_left.status, nothing_left.rows_in, nothing_left.metrics["trials"]) == ("succeeded", 0, 0)


def test_trials_are_nested_runs_of_mlflow(new_run: MakeRun, registry: str) -> None:
    run = new_run("followed")
    bad = replace(ENGINE, params={**ENGINE.params, "monotone_constraints": "(0)"}, space={**ENGINE.space, **TOO_MANY})
    training_set = frozen(run, replace(TUNING, trials=7), bad)
    assert result_of(run.launch("tune", map_index=0)).status == "succeeded"
    chosen = run_program(choose_params.run, run.spec("choose_params"))
    assert chosen.status == "succeeded", chosen.error
    runs = _runs(registry)
    (parent,) = [found for found in runs if found["info"]["run_name"] == "tune followed"]
    trials = [found for found in runs if _tags(found).get("mlflow.parentRunId") == parent["info"]["run_id"]]
    assert len(trials) == 7
    assert parent["info"]["status"] == "FINISHED"
    counts = study_of(run, training_set).counts()
    states = [_tags(trial)["nightjar.trial_state"] for trial in trials]
    assert {
        "completed": states.count("FINISHED"),
        "pruned": states.count("PRUNED"),
        "failed": states.count("FAILED"),
    } == counts
    (first,) = [trial for trial in trials if trial["info"]["run_name"] == "boosting trial 0"]
    metrics = {metric["key"]: metric["value"] for metric in first["data"]["metrics"]}
    assert metrics["mean_auc"] == pytest.approx(chosen.metrics["boosting_declared_auc"])
    assert {param["key"]: param["value"] for param in first["data"]["params"]}["eta"] == "0.3"
    history = _get(registry, f"metrics/get-history?run_id={first['info']['run_id']}&metric_key=fold_auc")["metrics"]
    assert [metric["step"] for metric in history] == [1, 2]
    assert chosen.links["mlflow_run"].endswith(parent["info"]["run_id"])


def test_a_database_holds_the_study_where_one_is_given_and_mlflow_may_be_away(
    new_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run("database")
    training_set = frozen(run, replace(TUNING, trials=3))
    monkeypatch.setenv("NIGHTJAR_STUDY_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    launched = run.launch("tune", {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, map_index=0)
    assert result_of(launched).metrics["trials"] == 3
    assert any("tuning goes on without MLflow" in line for line in launched.lines)
    assert not files.exists(f"{run.spec('tune').run_dir}/tune.journal")
    assert study_of(run, training_set).counts()["completed"] == 3


def test_unreachable_database_is_reported_without_its_password(
    new_run: MakeRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = new_run("away")
    training_set = frozen(run)
    for url in ("postgresql://me:secret@127.0.0.1:9/x", "sqlite:////nowhere/me:secret@x", "no url but secret"):
        monkeypatch.setenv("NIGHTJAR_STUDY_STORAGE", url)
        with pytest.raises(UnreachableError) as caught:
            study_of(run, training_set)
        assert "secret" not in str(caught.value) + caplog.text
        result = run_program(choose_params.run, run.spec("choose_params"))
        assert result.error_kind == "unreachable"
        assert "secret" not in result.error + caplog.text


def test_an_object_store_needs_a_database(new_run: MakeRun) -> None:
    run = new_run("store")
    training_set = frozen(run)
    spec = replace(run.spec("tune"), lake="s3://bucket/lake")
    with pytest.raises(ConfigurationError, match="cannot share a study in an object store") as caught:
        EngineStudy(spec, training_set, ENGINE)
    assert caught.value.where == "NIGHTJAR_STUDY_STORAGE"


def test_without_a_completed_trial_nothing_is_chosen_or_trained(new_run: MakeRun) -> None:
    run = new_run("nothing")
    only_impossible = {"monotone_constraints": Choice((IMPOSSIBLE,))}
    impossible = replace(ENGINE, params={**ENGINE.params, "monotone_constraints": IMPOSSIBLE}, space=only_impossible)
    frozen(run, replace(TUNING, trials=2), impossible)
    launched = run.launch("tune", map_index=0)
    assert result_of(launched).status == "succeeded"
    assert sum("failed" in line and "WARNING" in line for line in launched.lines) == 2
    chosen = run_program(choose_params.run, run.spec("choose_params"))
    assert chosen.error.startswith("no trial of boosting was completed; XGBoost failed")
    with pytest.raises(TrainingError, match="choose_params has written no training set") as caught:
        TrainingSet.of_run(run.spec("train"))
    assert "clear the task choose_params" in caught.value.fix


def test_too_few_days_are_reported_with_their_number(new_run: MakeRun) -> None:
    run = new_run("few-days")
    frozen(run, replace(TUNING, folds=13))
    result = run_program(tune.run, run.spec("tune", 0))
    assert result.error.startswith("13 training days are too few for 13 folds with a gap of 1 days")


def test_a_stage_of_other_rows_than_were_frozen_since_is_refused(new_run: MakeRun) -> None:
    run = new_run("stale")
    training_set = frozen(run)
    stale = replace(training_set, tables={**training_set.tables, "labels/flight_delay": 7})
    files.write_text(training_set_uri(run.spec("train"), CHOOSE_TASK), dump_json(stale))
    with pytest.raises(TrainingError, match="the training set of choose_params has other rows") as caught:
        TrainingSet.of_run(run.spec("train"))
    assert "clear the task choose_params" in caught.value.fix


def test_a_run_that_was_frozen_without_tuning_says_so(new_run: MakeRun) -> None:
    run = new_run("untuned")
    run.freeze()
    result = run_program(tune.run, run.spec("tune", 0))
    assert result.error.startswith("this run was frozen before the use case declared choose_params")


def _runs(uri: str) -> list[dict[str, Any]]:
    experiment = _get(uri, "experiments/get-by-name?experiment_name=flight_delay")["experiment"]["experiment_id"]
    request = urllib.request.Request(
        f"{uri}/api/2.0/mlflow/runs/search",
        data=json.dumps({"experiment_ids": [experiment], "max_results": 100}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return list(json.load(answer)["runs"])


def _get(uri: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{uri}/api/2.0/mlflow/{path}", timeout=10) as answer:
        return dict(json.load(answer))


def _tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
