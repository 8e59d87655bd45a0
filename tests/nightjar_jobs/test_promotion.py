"""From a trained model to a champion, on a real MLflow server. Programs run in this process, ``train`` did not."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.program_results import own_fields

from nightjar.lake import files, ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import dump_json, dump_values
from nightjar.protocol.errors import GateError, ModelError
from nightjar.protocol.results import CompressedModelFiles
from nightjar.registry import models
from nightjar.runner import run_program
from nightjar.training.data.training_set import TrainingSet, training_set_uri
from nightjar.training.engines.boosting.model import BoostedTrees
from nightjar.training.ensemble.calibration import Calibrator
from nightjar.training.model import TabularModel, save
from nightjar_jobs import evaluate, gate, promote, register
from nightjar_spark.freeze_training_set import full_model
from use_cases.flight_delay.use_case import USE_CASE

pytestmark = pytest.mark.e2e
PROGRAMS = {"evaluate": evaluate.run, "register": register.run, "gate": gate.run, "promote": promote.run}
MakeRun = Callable[..., Any]


@pytest.fixture
def start(trained: Any, new_run: MakeRun, registry: str, request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Makes runs that have the trained model, each with its own run id."""

    def make(name: str) -> Any:
        run = new_run(f"{request.node.name}-{name}")
        run.adopt(trained, "freeze_training_set", "train")
        return run

    return make


def _do(run: Any, *programs: str) -> Any:
    """Run programs in order; return the last one's result."""
    for program in programs:
        result = run_program(PROGRAMS[program], run.spec(program))
    return result


def _champion(start: Callable[[str], Any]) -> Any:
    """A run whose model is champion."""
    run = start("first")
    assert _do(run, "evaluate", "register", "gate", "promote").promoted is True
    return run


def test_the_first_model_becomes_champion_and_leads_back_to_its_data(
    start: Callable[[str], Any], registry: str
) -> None:
    run = start("a")
    evaluated = _do(run, "evaluate")
    assert evaluated.metrics["holdout_auc"] > 0.72
    assert 0.4 < evaluated.metrics["baseline_holdout_auc"] < 0.6
    assert evaluated.metrics["holdout_brier"] < evaluated.metrics["baseline_holdout_brier"]
    assert evaluated.metrics["holdout_rows"] == evaluated.rows_in == 2030
    registered = _do(run, "register")
    assert registered.links["mlflow_model"] == f"{registry}/#/models/flight_delay/versions/1"
    assert "/runs/" in registered.links["mlflow_run"]
    assert models.champion("flight_delay") is None
    verdict = _do(run, "gate")
    assert (verdict.verdict, verdict.champion_version) == ("promote", None)
    promoted = _do(run, "promote")
    assert promoted.promoted is True
    champion = models.champion("flight_delay")
    assert champion is not None
    assert champion.sha256 == evaluated.sha256["full"]
    assert champion.tags["nightjar.git_commit"] == "c0ffee"
    assert json.loads(champion.tags["nightjar.tables"]) == {"features/flight_delay": 33, "labels/flight_delay": 33}
    assert champion.tags["nightjar.verdict"] == "promote"
    (event,) = run.events("promotion")
    assert (event["model_version"], event["git_commit"]) == (champion.version, "c0ffee")
    assert event["details"] == {"from": None, "to": champion.version, "sha256": champion.sha256}
    assert run.events("gate")[0]["details"]["verdict"] == "promote"


def test_mlflow_holds_the_run_and_a_model_without_pickle(start: Callable[[str], Any], tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    run = start("a")
    registered = _do(run, "evaluate", "register")
    client = mlflow.MlflowClient()
    logged = client.get_run(registered.mlflow_run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params["version of features/flight_delay"] == "33"
    assert logged.data.params["git_commit"] == "c0ffee"
    assert logged.data.params["holdout days"] == "2013-01-22 to 2013-02-04"
    assert {"seed", "world_size", "objective"} <= set(logged.data.params)
    history = client.get_metric_history(registered.mlflow_run_id, "boosting_validation_auc_by_round")
    assert [metric.step for metric in history] == list(range(1, len(history) + 1))
    # the use case keeps all rounds, so that its figure is the last one's
    assert history[-1].value == pytest.approx(logged.data.metrics["validation_auc"])
    names = {artifact.path for artifact in client.list_artifacts(registered.mlflow_run_id)}
    assert {"training_set.json", "profile.json"} <= names
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
    assert len(predictions) == 2
    assert ((predictions > 0) & (predictions < 1)).all()


def test_registering_twice_gives_one_version_and_another_run_gives_another(start: Callable[[str], Any]) -> None:
    import mlflow

    run = start("a")
    first, second = _do(run, "evaluate", "register"), _do(run, "register")
    assert own_fields(first) == own_fields(second)
    same = start("b")  # the very same training, seen by another run
    assert _do(same, "evaluate", "register").model_version == first.model_version
    assert len(mlflow.MlflowClient().search_model_versions("name='flight_delay'")) == 1


def _challenger(start: Callable[[str], Any], **metrics: float) -> Any:
    """A run whose evaluation against the champion says ``metrics``, with its own registered version."""
    run = start("challenger")
    _do(run, "evaluate")
    result = run.result("train")
    trained = dump_json(result).replace(result.spec_fingerprint, run.spec("train").fingerprint)
    Path(f"{run.spec('train').output}/result.json").write_text(trained)
    _do(run, "register")
    run.change("evaluate", **metrics)
    return run


def test_a_tie_does_not_promote(start: Callable[[str], Any]) -> None:
    first = _champion(start)
    run = _challenger(start)
    measured = run.result("evaluate").metrics
    assert measured["holdout_log_loss"] == measured["champion_holdout_log_loss"]
    verdict = _do(run, "gate")
    assert (verdict.status, verdict.verdict) == ("succeeded", "keep")
    assert "not better" in verdict.reasons[-1]
    result = _do(run, "promote")
    assert (result.status, result.promoted) == ("succeeded", False)
    champion = models.champion("flight_delay")
    assert champion is not None
    assert champion.version == first.result("register").model_version
    assert run.events("promotion") == []


def test_a_better_model_takes_over_once(start: Callable[[str], Any]) -> None:
    first = _champion(start)
    run = _challenger(start, champion_holdout_log_loss=0.7)
    result = _do(run, "gate", "promote")
    old, new = (r.result("register").model_version for r in (first, run))
    assert (result.promoted, result.model_version) == (True, new)
    assert old != new
    again = _do(run, "promote")
    assert again.promoted is True
    assert "already" in again.reason
    assert [event["details"]["from"] for event in run.events("promotion")] == [old]
    # rolled back by a person: clearing the task must not promote again
    models.set_champion(models.resolve("flight_delay", old))
    rolled_back = _do(run, "promote")
    assert rolled_back.promoted is False
    champion = models.champion("flight_delay")
    assert champion is not None
    assert champion.version == old


def test_an_alias_that_moved_before_the_ledger_was_written_is_made_whole(start: Callable[[str], Any]) -> None:
    run = start("a")
    _do(run, "evaluate", "register", "gate")
    models.set_champion(models.resolve("flight_delay", run.result("register").model_version))
    assert _do(run, "promote").promoted is True
    assert len(run.events("promotion")) == 1


def test_a_run_cleared_after_its_promotion_is_judged_as_it_was(start: Callable[[str], Any]) -> None:
    run = _champion(start)
    before = {task: run.result(task) for task in ("evaluate", "gate")}
    result = _do(run, "evaluate", "register", "gate", "promote")
    assert result.promoted is True
    assert run.result("evaluate").metrics == before["evaluate"].metrics
    assert own_fields(run.result("gate")) == own_fields(before["gate"])
    assert run.result("gate").verdict == "promote"
    assert len(run.events("promotion")) == 1


def test_a_promotion_that_died_before_the_ledger_is_made_whole_by_clearing_the_run(start: Callable[[str], Any]) -> None:
    first = _champion(start)
    old = first.result("register").model_version
    run = _challenger(start, champion_holdout_log_loss=0.7)
    new = run.result("register").model_version
    assert _do(run, "gate").verdict == "promote"
    models.set_champion(models.resolve("flight_delay", new))  # and then the process died
    evaluated = _do(run, "evaluate")
    assert evaluated.champion_version == old
    run.change("evaluate", champion_holdout_log_loss=0.7)
    assert _do(run, "register", "gate", "promote").promoted is True
    assert [event["details"]["from"] for event in run.events("promotion")] == [old]


def test_where_a_person_must_approve_nothing_is_promoted_without_the_ledgers_word(
    start: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(USE_CASE, gate=replace(USE_CASE.gate, approval=True))
    monkeypatch.setattr(promote, "load_use_case", lambda name: strict)
    run = start("a")
    version = _do(run, "evaluate", "register", "gate").model_version
    spec = run.spec("approve")

    def answer(approved: bool, model_version: str) -> None:
        event = ledger.Event.of(spec, "approval", model_version=model_version, details={"approved": approved})
        ledger.record(Lake(spec.lake), event)

    answer(True, "99")  # another version's
    assert f"version {version} has not been approved" in _do(run, "promote").error
    answer(False, version)
    assert f"version {version} was rejected" in _do(run, "promote").error
    assert models.champion("flight_delay") is None
    answer(True, version)  # asked again
    assert _do(run, "promote").promoted is True


def test_another_promotion_in_between_stops_this_one(start: Callable[[str], Any]) -> None:
    run = start("late")
    _do(run, "evaluate", "register", "gate")
    other = _challenger(start)
    models.set_champion(models.resolve("flight_delay", other.result("register").model_version))
    result = _do(run, "promote")
    assert (result.status, result.error_kind) == ("failed", "gate")
    assert "became champion after the gate" in result.error
    # and the gate, asked again, has not seen that champion
    assert "was not evaluated on this holdout" in _do(run, "gate").error


@pytest.mark.parametrize(
    ("metrics", "message"),
    [({"holdout_auc": 0.5}, "auc 0.5000 misses the floor"), ({"holdout_rows": 10.0}, "the holdout has 10 rows")],
)
def test_a_first_model_below_the_floors_fails_red_with_its_figures(
    start: Callable[[str], Any], metrics: dict[str, float], message: str
) -> None:
    run = start("a")
    _do(run, "evaluate", "register")
    run.change("evaluate", **metrics)
    result = _do(run, "gate")
    assert (result.status, result.error_kind) == ("failed", "gate")
    assert message in result.error
    assert models.champion("flight_delay") is None
    promoted = _do(run, "promote")
    assert promoted.status == "failed"
    assert "`gate` has failed" in promoted.error


def test_a_model_below_the_floors_keeps_the_champion_green(start: Callable[[str], Any]) -> None:
    _champion(start)
    run = _challenger(start, holdout_auc=0.59, champion_holdout_log_loss=0.7)
    verdict = _do(run, "gate")
    assert (verdict.status, verdict.verdict) == ("succeeded", "keep")
    assert _do(run, "promote").promoted is False


def _with_smaller(run: Any, *, calibrator: Calibrator | None = None, **rounds: int) -> None:
    """Leave smaller models beside the run's, as if its training had: the first ``rounds`` rounds of its trees.

    They have the full model's calibrator, or ``calibrator``.
    """
    result, spec = run.result("train"), run.spec("train")
    full = TabularModel.load(result.model)
    (trees,) = full.members
    assert isinstance(trees, BoostedTrees)
    compressed = {}
    for name, kept in rounds.items():
        uri = f"{spec.output}/model-{name}"
        params = {"eta": 0.5, "num_rounds": kept, "compression": name}
        card = replace(
            full.card,
            members=(replace(full.card.members[0], rounds=kept, params=params),),
            calibrator=calibrator or full.card.calibrator,
        )
        smaller = save(uri, card, [BoostedTrees(trees.booster[:kept])], full.profile)
        figures = {"bytes": 1000, "full_bytes": 9000, "rows_per_second": 5e5, "full_rows_per_second": 1e5}
        compressed[name] = CompressedModelFiles(
            model=uri, model_sha256=smaller.sha256, figures={"validation_auc": 0.75, **figures}
        )
    left = replace(result, compressed=compressed)
    files.write_text(f"{spec.output}/result.json", dump_json(left))
    frozen = TrainingSet.of_run(spec)
    declared = replace(frozen, recipe=replace(frozen.recipe, compression=tuple(rounds)))
    files.write_text(training_set_uri(spec), dump_json(declared))


def test_a_smaller_model_that_loses_little_becomes_champion_with_its_own_version(start: Callable[[str], Any]) -> None:
    import mlflow

    run = start("a")
    _with_smaller(run, calibrator=Calibrator(method="platt"), pruned=5, int8=155)
    measured = _do(run, "evaluate").metrics
    assert measured["pruned_holdout_rows"] == measured["int8_holdout_rows"] == measured["holdout_rows"] == 2030
    assert measured["pruned_holdout_log_loss"] > measured["int8_holdout_log_loss"]
    # the margin is the use case's; these are the metrics of the gate
    run.change("evaluate", pruned_holdout_log_loss=measured["holdout_log_loss"] + 0.003, pruned_holdout_auc=0.59)
    run.change("evaluate", int8_holdout_log_loss=measured["holdout_log_loss"] + 0.001)
    registered = _do(run, "register").versions
    assert set(registered) == {"full", "int8", "pruned"}
    assert len(set(registered.values())) == 3
    gate = _do(run, "gate")
    assert (gate.variant, gate.model_version) == ("int8", registered["int8"])
    decisions = {name: candidate.verdict for name, candidate in gate.candidates.items()}
    assert decisions == {"full": "passed_over", "int8": "promote", "pruned": "refused"}
    assert _do(run, "promote").promoted is True
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
    assert {"num_rounds", "max_depth", "weight", "event_weight"} <= set(of_full)
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


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (((date(2013, 1, 2), date(2013, 1, 26)),), "was trained on 5 of the 14 holdout days"),
        ((), "the training days of champion version 1 are not known"),
        (((date(2013, 1, 2), date(2013, 1, 21)),), ""),
    ],
)
def test_a_champion_that_has_seen_the_holdout_is_named_wherever_the_verdict_is(
    start: Callable[[str], Any], seen: tuple[tuple[date, date], ...], said: str
) -> None:
    import mlflow

    run = start("first")
    uri = f"{run.spec('train').output}/model"
    mine = TabularModel.load(uri)
    assert mine.card.seen == ((date(2013, 1, 2), date(2013, 1, 21)),)
    saved = save(uri, replace(mine.card, seen=seen), mine.members, mine.profile)
    run.change_values("train", model_sha256=saved.sha256)
    assert _do(run, "evaluate", "register", "gate", "promote").promoted is True
    later = start("later")
    gate = _do(later, "evaluate", "register", "gate")
    (event,) = later.events("gate")
    version = mlflow.MlflowClient().get_model_version("flight_delay", gate.model_version)
    for text in (" ".join(gate.reasons), event["reason"], version.tags["nightjar.verdict_reasons"],
                 version.description):  # fmt: skip
        assert said in text
        assert ("champion version 1 was trained on" in text or "are not known" in text) == bool(said)


def test_a_run_with_smaller_models_that_is_cleared_registers_and_judges_as_it_did(start: Callable[[str], Any]) -> None:
    run = start("a")
    _with_smaller(run, int8=160)  # all of its rounds: it loses nothing
    first = _do(run, "evaluate", "register", "gate", "promote")
    assert first.promoted is True
    before = {task: own_fields(run.result(task)) for task in ("register", "gate")}
    again = _do(run, "evaluate", "register", "gate", "promote")
    assert again.promoted is True
    assert {task: own_fields(run.result(task)) for task in before} == before
    assert before["gate"]["variant"] == "int8"
    assert len(run.events("promotion")) == 1


def test_a_smaller_model_altered_after_training_is_not_registered(start: Callable[[str], Any]) -> None:
    run = start("a")
    _with_smaller(run, int8=100)
    _do(run, "evaluate")
    path = Path(f"{run.spec('train').output}/model-int8/boosting.ubj")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    result = _do(run, "register")
    assert result.error_kind == "model", result.error
    assert "model-int8/boosting.ubj" in result.error


def test_costs_of_decisions_are_measured_and_reach_mlflow(start: Callable[[str], Any]) -> None:
    import mlflow

    run = start("a")
    measured = _do(run, "evaluate").metrics
    threshold = TabularModel.load(run.result("train").model).card.threshold
    assert threshold == pytest.approx(80 / 280)
    assert measured["holdout_expected_cost"] < min(measured["holdout_never_cost"], measured["holdout_always_cost"])
    assert measured["holdout_expected_cost"] < measured["baseline_holdout_expected_cost"]
    assert 0 < measured["holdout_calibration_error"] < 0.1
    logged = mlflow.MlflowClient().get_run(_do(run, "register").mlflow_run_id).data
    assert logged.metrics["holdout_expected_cost"] == measured["holdout_expected_cost"]
    assert logged.metrics["holdout_recall"] == measured["holdout_recall"]
    assert logged.params["calibration"] in {"none", "platt", "isotonic"}


def test_a_model_of_another_evaluation_is_not_judged(start: Callable[[str], Any]) -> None:
    run = start("a")
    _do(run, "evaluate", "register")
    spec = run.spec("evaluate")
    path = Path(f"{spec.output}/result.json")
    path.write_text(path.read_text().replace(run.result("evaluate").sha256["full"], "0" * 64))
    with pytest.raises(GateError, match="measured another model"):
        gate.run(run.spec("gate"))


def test_a_fetched_model_is_cached_and_every_tampering_is_noticed(
    start: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _champion(start)
    champion = models.resolve("flight_delay")
    cache = tmp_path / "models"
    fetched = models.fetch(champion, str(cache))
    assert fetched.sha256 == champion.sha256 == run.result("train").model_sha256
    booster = cache / champion.sha256 / "boosting.ubj"
    corrupt = bytearray(booster.read_bytes())
    corrupt[100] ^= 1
    booster.write_bytes(corrupt)
    assert models.fetch(champion, str(cache)).sha256 == champion.sha256  # downloaded again
    assert booster.read_bytes() != corrupt
    monkeypatch.setattr("nightjar.registry.artifacts.download", lambda uri, folder: _corrupt_copy(cache, folder))
    booster.write_bytes(corrupt)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        models.fetch(champion, str(cache))


def _corrupt_copy(cache: Path, folder: str) -> Path:
    """What an artifact store that was tampered with gives."""
    (model,) = (path for path in cache.iterdir() if len(path.name) == 64)
    return Path(shutil.copytree(model, Path(folder) / "model"))


def test_a_cached_model_needs_no_download(start: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _champion(start)
    champion = models.resolve("flight_delay")
    models.fetch(champion)
    monkeypatch.setattr("nightjar.registry.artifacts.download", lambda *_: pytest.fail("downloaded again"))
    assert isinstance(models.fetch(champion), TabularModel)


def test_without_a_champion_the_error_says_what_to_do(registry: str) -> None:
    with pytest.raises(ModelError, match="flight_delay has no champion") as caught:
        models.resolve("flight_delay")
    assert "run the DAG flight_delay_training" in caught.value.fix
    with pytest.raises(ModelError, match="has no version 99"):
        models.resolve("flight_delay", 99)


def test_a_model_altered_after_training_is_not_registered(start: Callable[[str], Any]) -> None:
    run = start("a")
    _do(run, "evaluate")
    sha256 = run.result("train").model_sha256
    path = Path(f"{run.spec('train').output}/result.json")
    path.write_text(path.read_text().replace(sha256, "f" * 64))
    result = _do(run, "register")
    assert (result.status, result.error_kind) == ("failed", "model")
    assert models.find("flight_delay", {}) is None


def test_mlflow_away_is_a_quick_clear_failure_in_the_ledger(
    start: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start("a")
    _do(run, "evaluate")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = _do(run, "register")
    assert (result.error_kind, result.retryable) == ("unreachable", True)
    assert result.seconds["total"] < 10
    failures = ledger.read(Lake(run.lake), event="failure", run_id=run.run_id)["reason"].to_pylist()
    assert failures == [result.error]
