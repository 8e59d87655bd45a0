"""Labels that land later than on the next night: churn within 30 days, for customers that are scored every night."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.declarations import with_fields

from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Performance
from nightjar.declaration.tables import Column, TableSchema
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import load_use_case
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.training.data.shards import read_days
from nightjar.training.data.training_set import TrainingSet
from nightjar_spark.freeze_training_set import freeze
from nightjar_spark.performance_counts import count_nights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

FIRST = date(2025, 1, 1)
NIGHTS, CUSTOMERS, HORIZON = 110, 400, 30
CHURN = with_fields(
    load_use_case("flight_delay"),
    name="churn",
    schedule={"first_night": FIRST, "last_night": None, "timezone": "UTC"},
    entity=Entity(key=(Column("customer", "int", "Customer number.", nullable=False),)),
    features=FeatureSet(columns=(Feature("days_left", "numeric", "Days until the customer leaves, noisy."),)),
    target=Target(label="Left within 30 days.", prediction="Probability of it.", label_horizon_nights=HORIZON),
    training=Training(holdout_days=7, validation_days=5),
    gate=Gate(floors={}, min_holdout_rows=4),
    monitoring={"performance": Performance(), "retraining": None},
)
ONE_NIGHT = replace(CHURN, target=replace(CHURN.target, label_horizon_nights=1))


def _append(lake: str, schema: TableSchema, columns: dict[str, Any]) -> None:
    target = delta.arrow_schema(schema)
    rows = len(columns["customer"])
    table = pa.table({name: columns.get(name, [None] * rows) for name in target.names}, schema=target)
    write_deltalake(f"{lake}/{schema.name}", table, mode="append", partition_by=["ds"])


def _left_on() -> np.ndarray:
    """Day on which each customer leaves, as a number of nights after the first one; most stay for long."""
    return np.random.default_rng(5).exponential(320, CUSTOMERS)


def _fill(lake: str) -> str:
    """Score the present customers every night; 30 nights later a label says whether they have left."""
    features: dict[str, list[Any]] = {"ds": [], "customer": [], "days_left": []}
    labels: dict[str, list[Any]] = {"ds": [], "customer": [], "label": [], "outcome": [], "known_at": []}
    left_on = _left_on()
    for number in range(NIGHTS):
        night = FIRST + timedelta(days=number)
        for customer in np.flatnonzero(left_on > number):
            features["ds"].append(night)
            features["customer"].append(int(customer))
            features["days_left"].append(left_on[customer] - number)
            if number + HORIZON < NIGHTS:
                labels["ds"].append(night + timedelta(days=HORIZON))
                labels["customer"].append(int(customer))
                labels["label"].append(float(left_on[customer] <= number + HORIZON))
                labels["outcome"].append("known")
                labels["known_at"].append(datetime(2025, 1, 1, tzinfo=UTC))
    _append(lake, CHURN.feature_table, features)
    _append(lake, CHURN.label_table, labels)
    return lake


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _fill(str(tmp_path_factory.mktemp("lake")))


def _spec(lake: str, *, first: date = FIRST, last: date = FIRST, run_id: str = "r", given: bool = False) -> JobSpec:
    return JobSpec(
        program="freeze_training_set", use_case="churn", first_night=first, last_night=last, dag_id="churn_training",
        run_id=run_id, task_id="freeze_training_set", lake=lake, params={"interval_given": given},
    )  # fmt: skip


def test_labels_of_a_month_later_find_the_features_of_their_own_night(spark: SparkSession, churn: str) -> None:
    result = freeze(spark, _spec(churn), CHURN)
    found = TrainingSet.of_run(_spec(churn))
    left_on, nights = _left_on(), NIGHTS - HORIZON
    scored = sum(int((left_on > number).sum()) for number in range(nights))
    positives = sum(int(((left_on > n) & (left_on <= n + HORIZON)).sum()) for n in range(nights))
    assert (result.rows_in, result.rows_rejected) == (scored, 0)
    assert 0.07 < positives / scored < 0.12
    for split in (found.train, found.validation, found.holdout):
        assert split.labels["positives"] / split.rows == pytest.approx(positives / scored, abs=0.03)
    assert found.label_horizon_nights == HORIZON
    assert found.train.first == FIRST + timedelta(days=HORIZON)
    assert found.validation.first - found.train.last == timedelta(days=HORIZON)
    assert found.holdout.first - found.validation.last == timedelta(days=HORIZON)
    for _, rows in read_days(Lake(churn), found, found.holdout.days, ["days_left"]):
        days_left, label = rows["days_left"].to_numpy(), rows["label"].to_numpy()
        assert ((days_left <= HORIZON) == (label == 1)).all(), "features and label are of the same night"


def test_a_horizon_left_at_one_night_stops_with_the_horizon_that_matches(spark: SparkSession, churn: str) -> None:
    with pytest.raises(TrainingError, match=r"labels with label = 1\.0 find no features") as caught:
        freeze(spark, _spec(churn, run_id="wrong"), ONE_NIGHT)
    error = caught.value
    left_on = _left_on()
    lost = sum(int(((left_on > n) & (left_on <= n + HORIZON - 1)).sum()) for n in range(NIGHTS - HORIZON))
    assert error.how_many == lost
    assert "of their key from 1 night before they landed" in error.what
    assert "less than the min_matched_share of 80.0%" in error.what
    first = int(np.flatnonzero(left_on <= HORIZON - 1)[0])
    assert f"80 label days: 2025-01-31, 2025-02-01, 2025-02-02, ...; first keys: customer={first}," in error.where
    assert "declare Target(label_horizon_nights=30), with which 100% would match" in error.fix


def test_nights_without_features_stop_it_and_no_horizon_is_advised(
    spark: SparkSession, churn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lake = _fill(str(tmp_path_factory.mktemp("lake")))
    gone = [FIRST + timedelta(days=number) for number in range(10, 40)]
    Lake(lake).table(CHURN.feature_table).commit([], gone, run_id="r")
    with pytest.raises(TrainingError, match=r"\d+ of \d+ labels find no features .* 30 nights before") as caught:
        freeze(spark, _spec(lake), CHURN)
    assert "30 label days: 2025-02-10, 2025-02-11, 2025-02-12, ..." in caught.value.where
    assert "none up to 60 would match enough labels" in caught.value.fix
    lower = replace(CHURN, target=replace(CHURN.target, min_matched_share=0.5))
    result = freeze(spark, _spec(lake), lower)
    assert result.rows_rejected > 0
    assert result.rows_in == result.rows_out + result.rows_rejected


def test_an_interval_begins_a_horizon_after_its_first_night_and_ends_with_its_last(
    spark: SparkSession, churn: str
) -> None:
    first, last = FIRST + timedelta(days=3), FIRST + timedelta(days=NIGHTS - 5)
    spec = _spec(churn, first=first, last=last, run_id="interval", given=True)
    freeze(spark, spec, CHURN)
    found = TrainingSet.of_run(spec)
    assert (found.train.first, found.holdout.last) == (first + timedelta(days=HORIZON), last)


def test_a_score_is_judged_by_the_label_of_its_own_night_and_by_no_earlier_one(spark: SparkSession, lake: str) -> None:
    """Customer 1 is scored every night: labels of 0 land first, for earlier nights, and the 1 of this night last."""
    nights = [FIRST + timedelta(days=number) for number in range(40)]
    labels = [
        {"ds": night, "customer": 1, "label": float(night >= FIRST + timedelta(days=HORIZON)), "outcome": "known"}
        for night in nights
    ]
    late = {"ds": FIRST + timedelta(days=HORIZON + 1), "customer": 2, "label": 1.0, "outcome": "known"}
    scores = [
        {
            "ds": night, "customer": customer, "prediction": 0.5, "model_name": "churn", "model_version": "1",
            "model_sha256": "ab", "features_version": 1, "dag_run_id": "r",
            "scored_at": datetime(2025, 1, 1, tzinfo=UTC),
        }
        for night in nights[:2]
        for customer in (1, 2, 3)
    ]  # fmt: skip
    for schema, rows in ((CHURN.score_table, scores), (CHURN.label_table, [*labels, late])):
        names = delta.arrow_schema(schema).names
        _append(lake, schema, {name: [row.get(name) for row in rows] for name in names})
    inputs = {schema.name: 0 for schema in (CHURN.score_table, CHURN.label_table)}
    assert CHURN.matured_after_nights == HORIZON + 2
    judged = {night: night + timedelta(days=CHURN.matured_after_nights) for night in nights[:2]}
    counted = count_nights(spark, Lake(lake), CHURN, inputs, judged=judged, fresh=[], baselines={})
    for night in nights[:2]:
        summary = counted[night].summaries["", ""]
        assert (summary.labelled, summary.positives, summary.rows) == (2, 2, 3)
