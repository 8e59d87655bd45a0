"""Evaluated models in the registry, on a real MLflow server."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.nightjar_jobs.nights import USE_CASE
from tests.nightjar_jobs.promotions import run_programs
from tests.program_results import own_fields

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.registry import models
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.model import TabularModel

pytestmark = pytest.mark.e2e


def test_mlflow_holds_the_run_and_a_model_without_pickle(start_run: Callable[[str], Any], tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    run = start_run("a")
    registered = run_programs(run, "evaluate", "register")
    client = mlflow.MlflowClient()
    logged = client.get_run(registered.mlflow_run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params["version of features/flight_delay"] == "33"
    assert logged.data.params["git_commit"] == "c0ffee"
    assert logged.data.params["holdout days"] == "2013-01-22 to 2013-02-04"
    assert {"seed", "world_size", "objective"} <= set(logged.data.params)
    history = client.get_metric_history(registered.mlflow_run_id, "boosting_validation_log_loss_by_round")
    assert [metric.step for metric in history] == list(range(1, len(history) + 1))
    # the use case keeps all rounds, so that its figure is the last one's
    assert history[-1].value == pytest.approx(logged.data.metrics["validation_log_loss"])
    names = {artifact.path for artifact in client.list_artifacts(registered.mlflow_run_id)}
    assert {"training_set.json", "profile.json", "evaluation.html", "importances.json"} <= names
    page = client.download_artifacts(registered.mlflow_run_id, "evaluation.html", str(tmp_path))
    assert "Receiver operating characteristic" in Path(page).read_text()
    folder = mlflow.artifacts.download_artifacts(artifact_uri=registered.model_uri, dst_path=str(tmp_path))
    found = sorted(path.name for path in Path(folder).rglob("*") if path.is_file())
    assert {"boosting.ubj", "model.json", "profile.json", "SHA256SUMS", "MLmodel"} <= set(found)
    assert not [name for name in found if name.endswith((".pkl", ".pickle", ".joblib"))]
    loaded = mlflow.pyfunc.load_model(registered.model_uri)
    features = TrainingSet.of_run(run.spec("train")).features
    types = {"categorical": "DataType.string", "numeric": "DataType.double"}
    assert [(c.name, str(c.type)) for c in loaded.metadata.signature.inputs] == [
        (feature.name, types[feature.kind]) for feature in features
    ]
    values = {"categorical": ["AA", None], "numeric": [1.5, math.nan]}
    frame = pd.DataFrame({feature.name: values[feature.kind] for feature in features})
    predictions = loaded.predict(frame)
    assert [(c.name, str(c.type)) for c in loaded.metadata.signature.outputs] == [("prediction", "DataType.double")]
    assert list(predictions) == ["prediction"]
    assert predictions["prediction"].between(0, 1, inclusive="neither").tolist() == [True, True]


def test_registering_twice_gives_one_version_and_another_run_gives_another(start_run: Callable[[str], Any]) -> None:
    import mlflow

    run = start_run("a")
    first, second = run_programs(run, "evaluate", "register"), run_programs(run, "register")
    assert own_fields(first) == own_fields(second)
    same = start_run("b")  # the very same training, seen by another run
    assert run_programs(same, "evaluate", "register").model_version == first.model_version
    assert len(mlflow.MlflowClient().search_model_versions("name='flight_delay'")) == 1


def test_costs_of_decisions_are_measured_and_reach_mlflow(start_run: Callable[[str], Any]) -> None:
    import mlflow

    run = start_run("a")
    measured = run_programs(run, "evaluate").metrics
    assert TabularModel.load(run.result("train").model).card.problem == USE_CASE.problem
    assert measured["holdout_expected_cost"] < min(measured["holdout_never_cost"], measured["holdout_always_cost"])
    assert measured["holdout_expected_cost"] < measured["baseline_holdout_expected_cost"]
    assert 0 < measured["holdout_calibration_error"] < 0.1
    logged = mlflow.MlflowClient().get_run(run_programs(run, "register").mlflow_run_id).data
    assert logged.metrics["holdout_expected_cost"] == measured["holdout_expected_cost"]
    assert logged.metrics["holdout_recall"] == measured["holdout_recall"]
    assert logged.params["calibration"] in {"none", "platt", "isotonic"}
    assert logged.params["problem"] == "binary"
    assert logged.params["problem.cost"] == "{'missed': 200.0, 'false_alarm': 80.0, 'unit': 'USD'}"


def test_a_model_altered_after_training_is_not_registered(start_run: Callable[[str], Any]) -> None:
    run = start_run("a")
    run_programs(run, "evaluate")
    sha256 = run.result("train").model_sha256
    path = Path(f"{run.spec('train').output}/result.json")
    path.write_text(path.read_text().replace(sha256, "f" * 64))
    result = run_programs(run, "register")
    assert (result.status, result.error_kind) == ("failed", "model")
    assert models.find("flight_delay", {}) is None


def test_registering_without_mlflow_fails_within_seconds_and_the_ledger_has_it(
    start_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_run("a")
    run_programs(run, "evaluate")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = run_programs(run, "register")
    assert (result.error_kind, result.retryable) == ("unreachable", True)
    assert result.seconds["total"] < 10
    failures = ledger.read(Lake(run.lake), event="failure", run_id=run.run_id)["reason"].to_pylist()
    assert failures == [result.error]
