from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.landed_nights import ORDERS
from tests.program_results import neutral_result

from nightjar.declaration.data import Data
from nightjar.declaration.entity import Entity
from nightjar.declaration.experiment import CHAMPION, Experiment, Sequential
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Binary
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.tables import Column, TableSchema
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta, files
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.monitoring.drift.domain_table import DOMAIN_TABLE
from nightjar.monitoring.drift.table import DRIFT_TABLE
from nightjar.monitoring.drift.windows import merge_profiles
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn
from nightjar.monitoring.profiles.sample import Sample
from nightjar.monitoring.profiles.summarize import count_labels, profile_arrays
from nightjar.monitoring.profiles.table import PROFILES_TABLE, read_profiles
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import GateError, ModelError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import ValidateScoresResult
from nightjar.protocol.scores import Part, ScoringModel
from nightjar_spark.report_drift import NO_PREDICTION, NO_ROW_COLUMNS, NO_SKETCH, report_drift

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

ROWS = 400
NIGHTS = (date(2013, 4, 1), date(2013, 4, 2))
SHOP = UseCase(
    name="shop",
    title="Returns of orders",
    owner="me",
    schedule=Schedule(
        timezone="UTC",
        nightly="@daily",
        training="@weekly",
        first_night=date(2013, 1, 1),
    ),
    data=Data(
        sources=(ORDERS,),
        features_from=ORDERS.name,
        labels_from=ORDERS.name,
    ),
    entity=Entity(key=(Column("order_id", "int", "Order number.", nullable=False),)),
    features=FeatureSet(
        columns=(
            Feature("amount", "numeric", "Amount, euros."),
            Feature("channel", "categorical", "Channel."),
            Feature("weekday", "numeric", "Day of the week.", drift=False),
        )
    ),
    problem=Binary(),
    target=Target(label="Returned.", prediction="Probability of a return."),
    training=Training(),
    gate=Gate(floors={}),
)
PROFILED = [ProfiledColumn(feature.name, feature.kind) for feature in SHOP.features.columns]
PREDICTED = [ProfiledColumn("prediction", "numeric")]


def features(rows: int, seed: int, shift: float = 0.0) -> dict[str, list[Any]]:
    random = np.random.default_rng(seed)
    return {
        "order_id": list(range(rows)),
        "amount": random.normal(50.0 + shift, 10.0, rows).tolist(),
        "channel": random.choice(["web", "shop"], rows).tolist(),
        "weekday": [float(seed % 7)] * rows,
        "prediction": np.clip(random.normal(0.3 + shift / 100, 0.05, rows), 0, 1).tolist(),
    }


def put(lake: str, schema: TableSchema, night: date, data: dict[str, list[Any]]) -> None:
    target = delta.arrow_schema(schema)
    rows = len(data["order_id"])
    columns = {name: data.get(name, [None] * rows) for name in target.names} | {"ds": [night] * rows}
    table = pa.table({name: columns[name] for name in target.names}, schema=target)
    written = write_files(iter(table.to_batches()), Lake(lake).table(schema).uri, target, schema.partition_by)
    Lake(lake).table(schema).commit(written, [night], run_id="r")


class Shop:
    """A lake with a model, and nights of it."""

    def __init__(self, lake: str, *, predictions: bool = True, sampled: bool = False) -> None:
        self.lake = lake
        self.folder = f"{lake}/models/shop/1"
        training = features(5000, seed=100)
        training["weekday"] = [float(i % 7) for i in range(5000)]
        reference = profile_arrays(training, PROFILED)
        if predictions:
            predicted = profile_arrays({"prediction": training["prediction"]}, PREDICTED)
            reference = reference.with_column("prediction", predicted.columns["prediction"])
        if sampled:
            sample = Sample({column.name: training[column.name][:1000] for column in PROFILED})
            reference = replace(reference.with_column("label", count_labels(5000, 1000)), sample=sample, usual_auc=0.6)
        self.write_model(reference)

    def labels(self, night: date, values: Sequence[float | None]) -> None:
        """Labels that land with the night, of what was scored before it."""
        outcomes = ["kept" if value is not None else "lost" for value in values]
        data: dict[str, list[Any]] = {"order_id": list(range(len(values))), "label": list(values), "outcome": outcomes}
        put(self.lake, SHOP.label_table, night, data)

    def write_model(self, reference: Profile) -> None:
        text = reference.to_json()
        sums = f"{hashlib.sha256(text.encode()).hexdigest()}  profile.json\n"
        files.write_text(f"{self.folder}/profile.json", text)
        files.write_text(f"{self.folder}/SHA256SUMS", sums)
        self.sha256 = hashlib.sha256(sums.encode()).hexdigest()

    def night(self, night: date, shift: float = 0.0, version: Sequence[str] = ("1",) * ROWS) -> None:
        data = features(ROWS, seed=night.day, shift=shift)
        put(self.lake, SHOP.feature_table, night, data)
        identity = {
            "model_name": ["shop"] * ROWS,
            "model_version": list(version),
            "model_sha256": [self.sha256] * ROWS,
            "features_version": [0] * ROWS,
            "dag_run_id": ["r"] * ROWS,
            "scored_at": [datetime(2013, 4, 3, tzinfo=UTC)] * ROWS,
        }
        put(self.lake, SHOP.score_table, night, data | identity)

    def spec(self, first: date = NIGHTS[0], last: date = NIGHTS[0]) -> JobSpec:
        spec = JobSpec(
            program="report_drift",
            use_case="shop",
            first_night=first,
            last_night=last,
            dag_id="shop_nightly",
            run_id="run1",
            task_id="report_drift",
            lake=self.lake,
        )
        version = int(Lake(self.lake).table(SHOP.feature_table).open().version())
        scoring_model = ScoringModel(name="shop", version="1", sha256=self.sha256, folder=self.folder)
        result = neutral_result(
            ValidateScoresResult,
            parts={CHAMPION: Part(scoring_model=scoring_model, rows_in=1)},
            inputs={SHOP.feature_table.name: version},
        )
        files.write_text(f"{spec.run_dir}/validate_scores/result.json", dump_json(result))
        return spec


@pytest.fixture(autouse=True)
def settings(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")


def test_of_a_split_night_the_champion_s_predictions_are_looked_at(spark: SparkSession, lake: str) -> None:
    experiment = Experiment(
        name="half", variants={"champion": 0.5, "challenger": 0.5}, metric="brier",
        design=Sequential(effect=0.02), first_night=NIGHTS[0],
    )  # fmt: skip
    split = replace(SHOP, scoring=Scoring(experiment=experiment))
    shop = Shop(lake)
    data = features(ROWS, seed=1)
    put(lake, split.feature_table, NIGHTS[0], data)
    challenged = [row % 2 == 1 for row in range(ROWS)]
    moved = [0.99 if theirs else value for theirs, value in zip(challenged, data["prediction"], strict=True)]
    scores = {
        **data,
        "prediction": moved,
        "model_name": ["shop"] * ROWS,
        "model_version": ["2" if theirs else "1" for theirs in challenged],
        "model_sha256": ["other" if theirs else shop.sha256 for theirs in challenged],
        "features_version": [0] * ROWS,
        "dag_run_id": ["r"] * ROWS,
        "scored_at": [datetime(2013, 4, 3, tzinfo=UTC)] * ROWS,
        "experiment": ["half"] * ROWS,
        "variant": ["challenger" if theirs else "champion" for theirs in challenged],
    }
    put(lake, split.score_table, NIGHTS[0], scores)
    result = report_drift(spark, shop.spec(), split)
    assert (result.verdict, result.drifted_columns) == ("stable", ())
    assert stored(lake, NIGHTS[0])["prediction"]["night_rows"] == ROWS / 2
    with pytest.raises(GateError, match="scores of several models"):
        report_drift(spark, shop.spec(), SHOP)


def stored(lake: str, night: date) -> dict[str, dict[str, Any]]:
    rows = Lake(lake).table(DRIFT_TABLE).read_nights([night]).to_pylist()
    return {row["column_name"]: row for row in rows}


def test_a_stable_and_a_drifted_night_in_one_run(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.night(NIGHTS[0])
    shop.night(NIGHTS[1], shift=20.0)
    result = report_drift(spark, shop.spec(*NIGHTS), SHOP)

    assert result.verdict == "drift"
    assert result.drifted_columns == ("amount", "prediction")
    assert [night.verdict for night in result.nights.values()] == ["stable", "drift"]
    assert result.metrics["drifted_share"] == pytest.approx(2 / 3)
    assert result.metrics["max_psi"] >= result.metrics["prediction_psi"] > 0.25
    assert (result.rows_in, result.rows_out) == (8, 8)
    assert result.outputs == {DRIFT_TABLE.name: 1, PROFILES_TABLE.name: 1, DOMAIN_TABLE.name: 1}
    assert result.inputs == {"features/shop": 2, "scores/shop": 2}

    calm, moved = stored(lake, NIGHTS[0]), stored(lake, NIGHTS[1])
    assert {name: row["verdict"] for name, row in moved.items()} == {
        "amount": "drift",
        "channel": "stable",
        "prediction": "drift",
        "weekday": "not_watched",
    }
    assert {row["verdict"] for row in calm.values()} == {"stable", "not_watched"}
    assert (moved["amount"]["night_rows"], moved["amount"]["reference_rows"], moved["amount"]["model_version"]) == (
        400,
        5000,
        "1",
    )

    assert result.links["report"] == result.report == f"{lake}/reports/shop/2013-04-02/drift.html"
    page = files.read_text(result.report)
    assert "2 of 3 monitored columns moved" in page
    assert "The last 2 nights" in page
    assert "none of 3 monitored columns moved" in files.read_text(f"{lake}/reports/shop/2013-04-01/drift.html")


def test_labels_and_all_columns_together(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake, sampled=True)
    shop.night(NIGHTS[0])
    shop.night(NIGHTS[1], shift=20.0)
    shop.labels(NIGHTS[0], [0.0, 0.0, 0.0, 1.0, 0.0, None] * 60)
    shop.labels(NIGHTS[1], [1.0, 1.0, 0.0] * 100)
    result = report_drift(spark, shop.spec(*NIGHTS), SHOP)
    calm, moved = stored(lake, NIGHTS[0]), stored(lake, NIGHTS[1])
    assert (calm["label"]["verdict"], moved["label"]["verdict"]) == ("stable", "drift")
    assert (calm["label"]["night_rows"], calm["label"]["null_share"]) == (300, 0)  # no truth, no label, as in training
    assert moved["label"]["wasserstein"] == pytest.approx(2 / 3 - 1 / 5, abs=0.01)
    assert result.metrics["label_psi"] == moved["label"]["psi"]
    domains = {row["ds"]: row for row in Lake(lake).table(DOMAIN_TABLE).read_nights(list(NIGHTS)).to_pylist()}
    assert [domains[night]["verdict"] for night in NIGHTS] == ["stable", "drift"]
    assert domains[NIGHTS[1]]["top_columns"][0] == "amount"
    assert (domains[NIGHTS[1]]["night_rows"], domains[NIGHTS[1]]["usual_auc"]) == (ROWS, 0.6)
    assert result.metrics["domain_auc"] == domains[NIGHTS[1]]["auc"] > 0.85
    assert result.notes == ()


def test_a_reference_whose_columns_whole_nights_share_says_so(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake, sampled=True)
    reference = Profile.from_json(files.read_text(f"{shop.folder}/profile.json"))
    shop.write_model(replace(reference, sample=Sample({}), usual_auc=None))
    shop.night(NIGHTS[0])
    result = report_drift(spark, shop.spec(), SHOP)
    assert result.notes == (NO_ROW_COLUMNS,)
    assert "domain_auc" not in result.metrics
    assert Lake(lake).table(DOMAIN_TABLE).read_nights([NIGHTS[0]]).num_rows == 0
    assert NO_ROW_COLUMNS in files.read_text(result.report)


def test_a_night_is_shown_beside_nights_of_the_same_model_only(spark: SparkSession, lake: str) -> None:
    """A night that another version's training set said had drifted does not tell since when."""
    shop = Shop(lake)
    shop.night(NIGHTS[0], shift=20.0)
    report_drift(spark, shop.spec(), SHOP)
    shop.night(NIGHTS[1], shift=20.0, version=["2"] * ROWS)
    page = files.read_text(report_drift(spark, shop.spec(NIGHTS[1], NIGHTS[1]), SHOP).report)
    assert "nights in a row" not in page
    shop.night(NIGHTS[1], shift=20.0)
    page = files.read_text(report_drift(spark, shop.spec(NIGHTS[1], NIGHTS[1]), SHOP).report)
    assert "Since at least 1 April: 2 nights in a row." in page


def test_nights_are_kept_as_profiles_and_looked_back_on(spark: SparkSession, lake: str) -> None:
    """The amount moves for good on the third night: a week later that is not new."""
    shop = Shop(lake)
    nights = [date(2013, 4, day) for day in range(1, 9)]
    shifts = {night: 20.0 if night.day >= 3 else 0.0 for night in nights}
    for night, shift in shifts.items():
        shop.night(night, shift=shift)
    report_drift(spark, shop.spec(nights[0], nights[-2]), SHOP)
    report_drift(spark, shop.spec(nights[-1], nights[-1]), SHOP)  # as nights come: one by one, from what is stored
    amounts = [stored(lake, night)["amount"] for night in nights]
    assert [row["recent_nights"] for row in amounts] == [None, None, None, 3, 4, 5, 6, 7]
    assert [row["week_nights"] for row in amounts] == [None, None, 3, 4, 5, 6, 7, 7]
    assert amounts[3]["recent_psi"] > 2 * amounts[-1]["recent_psi"]
    assert amounts[-1]["psi"] > 1
    assert amounts[2]["week_psi"] < amounts[-1]["week_psi"]
    assert {row["weekday_nights"] for row in amounts} == {None}
    kept = read_profiles(Lake(lake), "shop", nights)
    week = merge_profiles([profile.columns["amount"] for profile in kept.values()])
    pooled = [
        value for night in nights for value in features(ROWS, night.day, 20.0 if night.day >= 3 else 0.0)["amount"]
    ]
    bins = Profile(rows=0, columns={"amount": week})
    whole = profile_arrays({"amount": pooled}, PROFILED[:1], bins).columns["amount"]
    assert (week.counts, week.sketch, week.rows) == (whole.counts, whole.sketch, whole.rows)
    assert (week.mean, week.variance) == pytest.approx((whole.mean, whole.variance))


def test_a_rerun_says_the_same(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.night(NIGHTS[0], shift=20.0)
    report_drift(spark, shop.spec(), SHOP)
    rows, page = stored(lake, NIGHTS[0]), files.read_text(f"{lake}/reports/shop/2013-04-01/drift.html")
    report_drift(spark, shop.spec(), SHOP)
    assert stored(lake, NIGHTS[0]) == rows
    assert files.read_text(f"{lake}/reports/shop/2013-04-01/drift.html") == page


def test_without_predictions_in_the_profile_it_says_so(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake, predictions=False)
    shop.night(NIGHTS[0])
    result = report_drift(spark, shop.spec(), SHOP)
    assert result.notes == (NO_PREDICTION, NO_SKETCH)
    assert "prediction_psi" not in result.metrics
    assert "prediction" not in stored(lake, NIGHTS[0])
    assert NO_PREDICTION.replace("'", "&#39;") in files.read_text(result.report)


def test_a_night_without_scores_fails_and_leaves_nothing(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.night(NIGHTS[0])
    with pytest.raises(GateError, match=r"no published scores.*2013-04-02"):
        report_drift(spark, shop.spec(*NIGHTS), SHOP)
    assert not Lake(lake).table(DRIFT_TABLE).exists()
    assert not Path(f"{lake}/reports").exists()


def test_scores_of_another_model_than_the_runs_fail(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.sha256 = "0" * 64
    shop.night(NIGHTS[0])
    with pytest.raises(ModelError, match="another model"):
        report_drift(spark, shop.spec(), SHOP)


def test_scores_of_two_models_in_a_night_fail(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.night(NIGHTS[0], version=["1"] * 200 + ["2"] * 200)
    with pytest.raises(GateError, match="scores of several models"):
        report_drift(spark, shop.spec(), SHOP)


def test_a_night_without_features_fails(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.night(NIGHTS[0])
    put(lake, SHOP.feature_table, NIGHTS[0], {"order_id": []})
    with pytest.raises(GateError, match=r"no feature rows.*2013-04-01"):
        report_drift(spark, shop.spec(), SHOP)


def test_a_feature_that_the_model_never_saw_fails(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.night(NIGHTS[0])
    known = profile_arrays(features(100, seed=1), PROFILED[:1])
    shop.write_model(known)
    shop.night(NIGHTS[0])
    with pytest.raises(GateError, match="does not hold channel, weekday"):
        report_drift(spark, shop.spec(), SHOP)


@pytest.mark.parametrize(
    "result",
    [None, JobResult(status="failed")],
    ids=["none", "failed"],
)
def test_without_audited_scores_it_fails(spark: SparkSession, lake: str, result: JobResult | None) -> None:
    shop = Shop(lake)
    shop.night(NIGHTS[0])
    spec = replace(shop.spec(), run_id="run2")
    if result is not None:
        files.write_text(f"{spec.run_dir}/validate_scores/result.json", dump_json(result))
    with pytest.raises(GateError, match="validate_scores"):
        report_drift(spark, spec, SHOP)
