"""Whatever a JSON file of the lake or of this machine holds, its reader names it or does as documented."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.hostile_documents import NOT_AN_OBJECT, NOT_JSON, check, hostile
from tests.landed_nights import NIGHTS, SHOP, land_night
from tests.program_results import neutral_result

from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Binary, Cost, CostMatrix, Multiclass, Problem, Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.declaration.training import Training
from nightjar.lake import ledger, results
from nightjar.lake.lake import Lake
from nightjar.local.airflow_login import PASSWORDS_FILE, admin_password
from nightjar.local.ports import Ports
from nightjar.local.state import RunLock, RunState, read_state
from nightjar.monitoring.performance.holdout import read_holdout_metrics
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.profiles.profile import Profile
from nightjar.monitoring.profiles.reference import read_reference
from nightjar.monitoring.profiles.summarize import count_numeric
from nightjar.protocol.documents import dump_json, dump_values
from nightjar.protocol.errors import GateError, LakeError, ModelError, NightjarError, SourceError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.nights import Nights
from nightjar.protocol.results import ScoreResult
from nightjar.scoring import pins
from nightjar.settings.secrets import redacted
from nightjar.training.data.training_set import Split, TrainingSet
from nightjar.training.distributed.checkpoint import Checkpoints
from nightjar.training.distributed.handshake import read_object
from nightjar.training.model import FORMAT, TabularModel
from nightjar.training.recipe import Recipe
from nightjar.validation.landing import check_landing

DAY = date(2013, 1, 5)
SPLIT = Split(first=DAY, last=DAY, days=(DAY,), rows=3, labels={"positives": 1})
FEATURES = (Feature("distance", "numeric", "Miles."),)
PROBLEMS = (
    Binary(cost=Cost(missed=4, false_alarm=1)),
    Multiclass(classes=("a", "b", "c"), cost=CostMatrix(costs={"a": {"b": 1.0}})),
    Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5), cost=QuantileCost(under=1, over=1)),
)


def spec(lake: Lake) -> JobSpec:
    return JobSpec(
        program="train",
        use_case="shop",
        first_night=DAY,
        last_night=DAY,
        dag_id="d",
        run_id="r",
        task_id="train",
        lake=lake.uri,
    )


def document(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def test_a_spec_of_any_content_is_read_or_named(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    check(file, document(dump_json(spec(Lake("/lake")))), lambda: results.read_spec(str(file)))


RESULT = JobResult(status="succeeded", outputs={"raw/x": 1}, metrics={"rows": 1.0}, links={"page": "/x"})


def test_a_result_of_any_content_is_read_or_named(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    check(file, document(dump_json(RESULT)), lambda: results.read_result(str(file)))


def test_an_earlier_result_of_any_content_is_read_or_done_again(lake: Lake) -> None:
    valid = document(dump_json(RESULT)) | {"spec_fingerprint": spec(lake).fingerprint}
    check(
        Path(spec(lake).output, "result.json"),
        valid,
        lambda: results.finished_result(spec(lake), JobResult),
        fallback=None,
    )


def test_pins_of_any_content_are_read_or_named(lake: Lake) -> None:
    valid = {"versions": {"champion": "1"}, "features_version": 3, "feature_files": ["a.parquet"], "published": True}
    check(Path(spec(lake).run_dir, "pins.json"), valid, lambda: pins.pinned(spec(lake)))


def training_set(problem: Problem) -> TrainingSet:
    own = ("base", "problem", "decisive_metric")
    recipe = Recipe(
        **{name: getattr(Training(), name) for name in Recipe.__dataclass_fields__ if name not in own},
        base=None,
        problem=problem,
        decisive_metric=next(iter(problem.metrics)),
    )
    return TrainingSet(
        use_case="shop",
        tables={"features/shop": 1},
        key=("id",),
        features=FEATURES,
        categories={},
        train=SPLIT,
        validation=SPLIT,
        holdout=SPLIT,
        recipe=recipe,
    )


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_training_set_of_any_content_is_read_or_named(lake: Lake, problem: Problem) -> None:
    file = Path(spec(lake).run_dir, "freeze_training_set", "training_set.json")
    check(file, document(dump_json(training_set(problem))), lambda: TrainingSet.of_run(spec(lake)))


def test_a_checkpoint_of_any_content_is_read_or_not_used(lake: Lake) -> None:
    checkpoints = Checkpoints.of(spec(lake), "boosting", {"seed": 1})
    state = Path(checkpoints.place, "round-000001.bin")
    state.parent.mkdir(parents=True)
    state.write_bytes(b"trees")
    sha256 = hashlib.sha256(b"trees").hexdigest()
    valid = {"training": {"seed": 1}, "history": [0.7], "file": state.name, "sha256": sha256}
    check(state.with_name("checkpoint.json"), valid, checkpoints.load, fallback=None)


def test_a_model_card_of_any_content_is_read_or_named(tmp_path: Path) -> None:
    valid = {
        "format": FORMAT,
        "use_case": "shop",
        "features": [{"name": "distance", "type": "numeric", "comment": "Miles."}],
        "categories": {},
        "label": "late",
        "prediction": "probability",
        "members": [
            {"kind": "logistic", "engine": "x", "params": {}, "rounds": 0, "validation_score": 0.7, "weight": 1.0}
        ],
        "calibrator": {},
        "problem": {"kind": "binary", "cost": {"missed": 4.0, "false_alarm": 1.0, "unit": "USD"}},
        "seed": 1,
        "world_size": 1,
        "validation_metric": "auc",
        "validation_score": 0.7,
        "tables": {"features/shop": 1},
        "seen": [["2013-01-01", "2013-01-02"]],
    }
    for name, content in hostile(valid):
        for file, data in {"model.json": content, "profile.json": b"{}"}.items():
            (tmp_path / file).write_bytes(data)
        sums = (
            f"{hashlib.sha256((tmp_path / f).read_bytes()).hexdigest()}  {f}\n" for f in ("model.json", "profile.json")
        )
        (tmp_path / "SHA256SUMS").write_text("".join(sums))
        with pytest.raises(ModelError) as caught:  # the member's own file is not there
            TabularModel.load(str(tmp_path))
        assert str(tmp_path) in caught.value.where, name


def test_a_drift_reference_of_any_content_is_read_or_named(tmp_path: Path) -> None:
    valid = document(Profile(rows=3, columns={"x": count_numeric([1.0, 2.0, 3.0], (2.0,))}).to_json())

    def read() -> object:
        sha256 = hashlib.sha256((tmp_path / "profile.json").read_bytes()).hexdigest()
        (tmp_path / "SHA256SUMS").write_text(f"{sha256}  profile.json\n")
        return read_reference(str(tmp_path))

    check(tmp_path / "profile.json", valid, read)


def test_a_manifest_of_any_content_is_read_or_named(tmp_path: Path) -> None:
    manifest = land_night(tmp_path, NIGHTS[0]) / "manifest.json"
    night = Nights(first=NIGHTS[0], last=NIGHTS[0], timezone="UTC")
    valid = document(manifest.read_text())
    for name, content in hostile(valid):
        manifest.write_bytes(content)
        with pytest.raises(SourceError) as caught:
            check_landing(str(tmp_path), SHOP, night)
        assert str(tmp_path) in caught.value.where, name


def test_a_file_of_the_servers_of_any_content_is_read_or_named(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "run.json")
    assert lock.acquire()
    lock.publish(RunState(pid=7, ports=Ports(airflow=1, mlflow=2), sockets="/tmp/x"))
    valid = document((tmp_path / "run.json").read_text())
    check(tmp_path / "run.json", valid, lambda: read_state(tmp_path / "run.json"))
    lock.release()


def test_a_file_of_passwords_of_any_content_is_read_or_named(tmp_path: Path) -> None:
    check(tmp_path / PASSWORDS_FILE, {"admin": "x1"}, lambda: admin_password(tmp_path))


@pytest.mark.parametrize("content", [*NOT_JSON.values(), *NOT_AN_OBJECT.values(), b'{"proof": "\\ud800"}'])
def test_a_peer_of_any_content_proves_nothing(content: bytes) -> None:
    assert read_object(content) == {}


@pytest.mark.parametrize("parts", [None, 7, {"champion": {}}, {"champion": []}])
def test_scores_that_a_result_does_not_name_are_an_error_of_the_result(lake: str, parts: Any) -> None:
    document = {**dump_values(neutral_result(ScoreResult)), "parts": parts}
    Path(spec(lake).run_dir, "score").mkdir(parents=True)
    Path(spec(lake).run_dir, "score", "result.json").write_text(json.dumps(document))
    with pytest.raises(GateError, match=r"the result cannot be read \(ValueError: ScoreResult\.parts"):
        results.earlier_result(spec(lake), ScoreResult)


@pytest.mark.parametrize("details", [{"candidates": []}, {"metrics": 7}])
def test_an_event_of_another_shape_is_named(lake: Lake, details: dict[str, Any]) -> None:
    ledger.record(lake, ledger.Event(event="gate", use_case="shop", details={"candidates": {"": {}}, **details}))
    with pytest.raises(LakeError, match="the details of an event cannot be read") as caught:
        read_holdout_metrics(lake, "shop", performance_problem(Binary()))
    assert caught.value.where == "ledger/events"


@pytest.mark.parametrize("text", ['{"a":' * 100_000, '{"a":' * 600 + "1" + "}" * 600, "{" + "1" * 10_000])
def test_a_variable_of_any_content_hides_no_error(text: str) -> None:
    assert redacted("no space left", {"AIRFLOW_CONN_X": text}) == "no space left"


def test_an_error_keeps_its_first_line_short(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_bytes(b'{"a": "\xff' + b"x" * 100_000 + b'"}')
    with pytest.raises(NightjarError) as caught:
        results.read_spec(str(tmp_path / "spec.json"))
    assert len(str(caught.value)) < 600
