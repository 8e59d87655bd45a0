"""Freezing a training set from literal tables."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.declarations import with_fields

from nightjar.declaration.engines import Boosting, Network
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Performance
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.declaration.tables import Column
from nightjar.declaration.training import Training, WarmStart
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import delta, files
from nightjar.monitoring.profiles.profile import Profile
from nightjar.problems.binary.calibration import Calibrator
from nightjar.protocol.errors import ContractError, RowCountError, TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import parse_result
from nightjar.registry import models
from nightjar.runner import run_program
from nightjar.training import model
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.linear.baseline import Baseline
from nightjar.training.model import ModelCard
from nightjar.training.recipe import Base
from nightjar_spark.freeze_training_set import freeze

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

FIRST = date(2013, 3, 1)
USE_CASE = with_fields(
    load_use_case("flight_delay"),
    name="tiny",
    entity=Entity(key=(Column("flight", "int", "Number.", nullable=False),)),
    features=FeatureSet(
        columns=(Feature("carrier", "categorical", "Carrier."), Feature("distance", "numeric", "Miles."))
    ),
    training=Training(holdout_days=2, validation_days=1),
    gate=Gate(floors={}, min_holdout_rows=4),
    monitoring={"performance": Performance()},
)
CLASSES = Multiclass(classes=("kept", "lost", "back"))
NUMBER = Regression(unit="days")
COUNT = Regression(unit="pieces", loss="poisson")


def _spec(lake: str, first: date = FIRST, last: date = FIRST, run_id: str = "r", given: bool = False) -> JobSpec:
    return JobSpec(
        program="freeze_training_set",
        use_case="tiny",
        first_night=first,
        last_night=last,
        dag_id="tiny_training",
        run_id=run_id,
        task_id="freeze_training_set",
        lake=lake,
        params={"interval_given": given},
    )


def _write(lake: str, name: str, rows: list[dict[str, Any]], use_case: UseCase = USE_CASE) -> None:
    schema = use_case.feature_table if name == "features" else use_case.label_table
    filled = [{column.name: None for column in schema.columns} | {"outcome": "arrived"} | row for row in rows]
    table = pa.Table.from_pylist(filled, schema=delta.arrow_schema(schema))
    write_deltalake(f"{lake}/{schema.name}", table, mode="append", partition_by=["ds"])


def _fill(lake: str) -> str:
    """Six label days of four flights: one without label on the first day, one without features on the second."""
    features, labels = [], []
    for day in range(6):
        for flight in range(4):
            carrier = ["AA", "UA", None, f"X{day}"][flight]
            night = FIRST + timedelta(days=day)
            if (day, flight) != (1, 3):
                features.append({"ds": night, "flight": flight, "carrier": carrier, "distance": 100.0 * flight})
            label = None if (day, flight) == (0, 2) else float(flight % 2)
            labels.append({"ds": night + timedelta(days=1), "flight": flight, "label": label})
    labels.append({"ds": FIRST, "flight": 0, "label": 1.0})  # its night is not in the lake
    _write(lake, "features", features)
    _write(lake, "labels", labels)
    return lake


@pytest.fixture
def filled(lake: str) -> str:
    """A separate lake to modify."""
    return _fill(lake)


@pytest.fixture(scope="module")
def frozen(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    """The spec of a run that has frozen the filled lake."""
    spec = _spec(_fill(str(tmp_path_factory.mktemp("lake"))))
    assert run_program(lambda given: freeze(spark, given, USE_CASE), spec).status == "succeeded"
    return spec


def test_days_are_joined_counted_and_split(frozen: JobSpec) -> None:
    result = parse_result(files.read_text(f"{frozen.output}/result.json"))
    found = TrainingSet.of_run(frozen)
    assert found.tables == {"features/tiny": 0, "labels/tiny": 0} == result.inputs
    assert (found.train.first, found.train.last) == (date(2013, 3, 2), date(2013, 3, 4))
    assert (found.train.rows, found.train.labels) == (3 + 3 + 4, {"positives": 2 + 1 + 2})
    assert found.validation.days == (date(2013, 3, 5),)
    assert (found.holdout.rows, found.holdout.labels) == (8, {"positives": 4})
    assert (result.rows_in, result.rows_out, result.rows_rejected) == (23, 22, 1)


def test_vocabulary_and_profile_come_from_the_training_days_alone(frozen: JobSpec) -> None:
    assert TrainingSet.of_run(frozen).categories == {"carrier": ("AA", "UA", "X0", "X2")}
    profile = Profile.from_json(files.read_text(f"{frozen.output}/profile.json"))
    assert profile.rows == 11  # all features of the three nights, labelled or not
    assert set(profile.columns["carrier"].categories) == {"AA", "UA", "X0", "X2"}
    assert profile.columns["carrier"].nulls == 3


def test_a_rerun_keeps_what_was_frozen(spark: SparkSession, frozen: JobSpec) -> None:
    before = files.read_text(f"{frozen.output}/training_set.json")
    files.delete_file(f"{frozen.output}/result.json")  # as when the task is cleared
    _write(frozen.lake, "labels", [{"ds": date(2013, 3, 8), "flight": 0, "label": 1.0}])
    result = run_program(lambda spec: freeze(spark, spec, USE_CASE), frozen)
    assert result.inputs["labels/tiny"] == 0
    assert files.read_text(f"{frozen.output}/training_set.json") == before


def test_forced_run_freezes_again_and_an_interval_ends_at_its_last_night(spark: SparkSession, frozen: JobSpec) -> None:
    _write(frozen.lake, "labels", [{"ds": date(2013, 3, 9), "flight": 0, "label": 1.0}])
    first, last = FIRST + timedelta(days=1), FIRST + timedelta(days=5)
    forced = replace(frozen, params={"force": True, "interval_given": True}, first_night=first, last_night=last)
    freeze(spark, forced, USE_CASE)
    found = TrainingSet.of_run(forced)
    assert found.tables["labels/tiny"] > 0
    assert (found.train.first, found.holdout.last) == (date(2013, 3, 3), date(2013, 3, 6))


def test_bad_labels_stop_it(spark: SparkSession, filled: str) -> None:
    _write(filled, "labels", [{"ds": FIRST + timedelta(days=1), "flight": 3, "label": 0.5}])
    with pytest.raises(ContractError, match=r"they must be null, or label IN \(0.0, 1.0\)") as caught:
        freeze(spark, _spec(filled), USE_CASE)
    assert caught.value.how_many == 1
    assert "2013-03-02" in caught.value.where


def relabelled(lake: str, problem: Problem, labels: Sequence[object]) -> UseCase:
    """Fill a lake whose labels are those of another problem, in turn by flight; return the use case."""
    use_case = with_fields(USE_CASE, problem=problem, monitoring={"retraining": None})
    features, rows = [], []
    for day in range(6):
        for flight in range(4):
            night = FIRST + timedelta(days=day)
            features.append({"ds": night, "flight": flight, "carrier": "AA", "distance": 100.0 * flight})
            label = labels[(day + flight) % len(labels)]
            rows.append({"ds": night + timedelta(days=1), "flight": flight, "label": label})
    _write(lake, "features", features, use_case)
    _write(lake, "labels", rows, use_case)
    return use_case


def test_labels_of_classes_are_counted_and_profiled_by_class(spark: SparkSession, lake: str) -> None:
    use_case = relabelled(lake, CLASSES, ("kept", "lost", "back", "kept"))
    result = freeze(spark, _spec(lake), use_case)
    found = TrainingSet.of_run(_spec(lake))
    assert found.train.labels == {"rows_kept": 6, "rows_lost": 3, "rows_back": 3}
    assert found.holdout.labels == {"rows_kept": 4, "rows_lost": 2, "rows_back": 2}
    assert result.metrics["train_rows_kept_share"] == 0.5
    assert found.recipe.problem == CLASSES
    label = Profile.from_json(files.read_text(f"{_spec(lake).output}/profile.json")).columns["label"]
    assert label.kind == "categorical"
    assert dict(zip(label.categories, label.counts, strict=False)) == {"kept": 6, "lost": 3, "back": 3}


def test_labels_of_numbers_are_counted_by_sign_and_profiled_as_numbers(spark: SparkSession, lake: str) -> None:
    use_case = relabelled(lake, NUMBER, (-2.5, 0.0, 10.0, None))
    freeze(spark, _spec(lake), use_case)
    found = TrainingSet.of_run(_spec(lake))
    assert (found.train.rows, found.train.labels) == (9, {"positive": 3, "negative": 3})
    label = Profile.from_json(files.read_text(f"{_spec(lake).output}/profile.json")).columns["label"]
    assert (label.kind, label.rows, label.nulls) == ("numeric", 9, 0)
    assert label.mean == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("problem", "labels", "message"),
    [
        (CLASSES, ("kept", "lost", "back", "Kept"), r"multiclass problem: they must be null, or label IN \('kept', "),
        (NUMBER, (1.0, 2.0, 3.0, float("nan")), "regression problem: they must be null, or NOT isnan"),
        (NUMBER, (1.0, 2.0, 3.0, float("inf")), "regression problem: they must be null, or NOT isnan"),
        (NUMBER, (1.0, 2.0, 3.0, 1e39), "regression problem: they must be null, or NOT isnan"),
        (COUNT, (1.0, 2.0, 3.0, -1.0), "AND label >= 0"),
    ],
)
def test_labels_that_the_problem_does_not_allow_stop_it(
    spark: SparkSession, lake: str, problem: Problem, labels: Sequence[object], message: str
) -> None:
    use_case = relabelled(lake, problem, labels)
    with pytest.raises(ContractError, match=message) as caught:
        freeze(spark, _spec(lake), use_case)
    assert caught.value.how_many == 6


def test_a_class_without_a_label_in_the_training_days_stops_it(spark: SparkSession, lake: str) -> None:
    use_case = relabelled(lake, CLASSES, ("kept", "lost"))
    with pytest.raises(TrainingError, match="train split has classes without a label: back, among 12 labels"):
        freeze(spark, _spec(lake), use_case)


def test_duplicate_features_stop_it(spark: SparkSession, filled: str) -> None:
    _write(filled, "features", [{"ds": FIRST, "flight": 0, "carrier": "AA", "distance": 1.0}])
    with pytest.raises(RowCountError, match="23 labelled rows became 24"):
        freeze(spark, _spec(filled), USE_CASE)


def test_a_single_night_that_a_person_asks_for_is_not_all_nights(spark: SparkSession, filled: str) -> None:
    with pytest.raises(TrainingError, match="no labelled rows") as caught:
        freeze(spark, _spec(filled, given=True), USE_CASE)
    assert f"nights {FIRST} to {FIRST}" in caught.value.where


def test_no_labels_and_too_few_rows_are_clear_errors(spark: SparkSession, filled: str) -> None:
    with pytest.raises(TrainingError, match="holdout split has 8 labelled rows, fewer than 9"):
        freeze(spark, _spec(filled), replace(USE_CASE, gate=Gate(floors={}, min_holdout_rows=9)))
    with pytest.raises(TrainingError, match="no labelled rows") as caught:
        freeze(spark, _spec(filled, date(2014, 1, 1), date(2014, 2, 1), given=True), USE_CASE)
    assert "2014-01-01 to 2014-02-01" in caught.value.where
    with pytest.raises(TrainingError, match="train split has 0 labelled rows"):
        freeze(spark, _spec(filled), replace(USE_CASE, training=Training(holdout_days=5, validation_days=1)))


def test_a_warm_start_freezes_the_champion_and_begins_with_its_vocabulary(
    spark: SparkSession, filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabularies = {"carrier": ("X2", "OO", "UA")}
    simple = Baseline(features=USE_CASE.features.columns, categories=vocabularies, means=(), scales=(), weights=())
    card = ModelCard(
        use_case="tiny",
        features=USE_CASE.features.columns,
        categories=vocabularies,
        label="late",
        prediction="probability",
        members=(simple.card(0.7),),
        calibrator=Calibrator(),
        problem=Binary(),
        seed=1,
        world_size=1,
        validation_metric="auc",
        validation_score=0.7,
        tables={},
    )
    saved = model.save(f"{tmp_path}/saved", card, [simple], "{}")
    champion = models.ModelVersion(name="tiny", version="4", sha256=saved.sha256, run_id="r")
    # MLflow is not here: what it would say, and what it would have sent
    monkeypatch.setattr(models, "champion", lambda name: champion if name == "tiny" else None)
    monkeypatch.setenv("NIGHTJAR_LAKE", filled)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("NIGHTJAR_MODEL_CACHE", f"{tmp_path}/cache")
    shutil.copytree(tmp_path / "saved", tmp_path / "cache" / saved.sha256)
    training = replace(USE_CASE.training, engines=(Boosting(), Network()), warm_start=WarmStart(frozen_layers=1))
    warm = replace(USE_CASE, training=training)
    spec = _spec(filled)
    freeze(spark, spec, warm)
    found = TrainingSet.of_run(spec)
    assert found.categories == {"carrier": ("X2", "OO", "UA", "AA", "X0")}
    assert found.recipe.base == Base(version="4", sha256=saved.sha256, frozen_layers=1)
    assert model.TabularModel.load(f"{filled}/models/tiny/{saved.sha256}", sha256=saved.sha256).card == card


def test_warm_start_without_a_champion_warns_and_has_no_base(
    spark: SparkSession, filled: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(models, "champion", lambda name: None)
    warm = replace(USE_CASE, training=replace(USE_CASE.training, warm_start=WarmStart()))
    freeze(spark, _spec(filled), warm)
    assert "has no champion for a warm start" in caplog.text
    assert TrainingSet.of_run(_spec(filled)).recipe.base is None
