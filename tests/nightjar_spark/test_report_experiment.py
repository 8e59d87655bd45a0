"""The experiment's report on real tables: what counts, what does not, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.declarations import with_fields
from tests.nightjar_spark.test_report_drift import SHOP

from nightjar.declaration.experiment import Experiment, FixedHorizon, Sequential
from nightjar.declaration.problem import Cost
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.monitoring.experiments.table import EXPERIMENTS_TABLE
from nightjar.protocol.errors import ConfigurationError, ContractError, LakeError
from nightjar.protocol.job import JobSpec
from nightjar.scoring.split import assign
from nightjar_spark.report_experiment import report_experiment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
FIRST = date(2013, 4, 1)
ORDERS = 3000
HALF = Experiment(
    name="half",
    variants={"champion": 0.5, "challenger": 0.5},
    metric="brier",
    design=Sequential(effect=0.02),
    first_night=FIRST,
)


def declared(**changed: Any) -> UseCase:
    experiment = replace(HALF, **changed)
    return with_fields(SHOP, problem={"cost": Cost(missed=10, false_alarm=2)}, scoring=Scoring(experiment=experiment))


@pytest.fixture(autouse=True)
def settings(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")


class Nights:
    """Scored nights and their labels; the challenger's predictions are off by ``worse``."""

    def __init__(self, lake: str, use_case: UseCase, worse: float = 0.0) -> None:
        self.lake, self.use_case, self.worse = lake, use_case, worse
        self.rows: list[dict[str, Any]] = []

    def add(self, number: int, orders: range, *, fallen: bool = False, labelled: bool = True, **fixed: Any) -> None:
        night = FIRST + timedelta(days=number)
        random = np.random.default_rng(number)
        experiment = self.use_case.scoring.experiment
        assert experiment is not None
        batch = pa.RecordBatch.from_pydict({"order_id": pa.array(orders, pa.int32())})
        places = assign(batch, experiment, self.use_case.key)
        made = []
        for order, place in zip(orders, places, strict=True):
            variant = list(experiment.variants)[place]
            truth = float(random.random() < 0.3)
            prediction = float(np.clip(random.normal(0.3, 0.05) + (self.worse if place else 0.0), 0, 1))
            made.append({
                "ds": night, "order_id": order, "prediction": prediction, "model_name": "shop",
                "model_version": str(place + 1), "model_sha256": "ab", "features_version": 1, "dag_run_id": "r",
                "scored_at": datetime(2013, 4, 2, tzinfo=UTC), "decision": prediction > 0.32,
                "fallback_reason": "gone" if fallen and place else None, "experiment": experiment.name,
                "variant": variant, "label": truth if order % 10 else None, **fixed,
            })  # fmt: skip
        self._put(self.use_case.score_table, night, made)
        if labelled:
            known = [{**row, "ds": night + timedelta(days=1), "outcome": "x"} for row in made]
            self._put(self.use_case.label_table, night + timedelta(days=1), known)
        self.rows += made

    def _put(self, schema: Any, night: date, rows: list[Mapping[str, Any]]) -> None:
        target = delta.arrow_schema(schema)
        table = pa.Table.from_pylist([{name: row.get(name) for name in target.names} for row in rows], schema=target)
        written = write_files(iter(table.to_batches()), Lake(self.lake).table(schema).uri, target, ("ds",))
        Lake(self.lake).table(schema).commit(written, [night], run_id="r")

    def values(self, variant: str, *, nights: range) -> np.ndarray:
        """The Brier scores of a variant's labelled orders, each by its first night."""
        first: dict[int, dict[str, Any]] = {}
        for row in sorted(self.rows, key=lambda row: row["ds"]):
            if row["ds"] in [FIRST + timedelta(days=i) for i in nights]:
                first.setdefault(row["order_id"], row)
        chosen = [row for row in first.values() if row["variant"] == variant and row["label"] is not None]
        return np.array([(row["prediction"] - row["label"]) ** 2 for row in chosen])


def spec(lake: str, number: int) -> JobSpec:
    night = FIRST + timedelta(days=number)
    return JobSpec(
        program="report_experiment", use_case="shop", first_night=night, last_night=night, dag_id="shop_nightly",
        run_id=f"r{number}", task_id="report_experiment", lake=lake,
    )  # fmt: skip


def stored(lake: str, number: int) -> dict[str, Any]:
    (row,) = Lake(lake).table(EXPERIMENTS_TABLE).read_nights([FIRST + timedelta(days=number)]).to_pylist()
    return dict(row)


def test_labels_of_a_longer_horizon_count_for_the_night_that_is_the_horizon_earlier(
    spark: SparkSession, lake: str
) -> None:
    monthly = with_fields(declared(), target={"label_horizon_nights": 3})
    nights = Nights(lake, monthly)
    for number in range(4):
        nights.add(number, range(ORDERS) if number == 0 else range(ORDERS, 2 * ORDERS), labelled=False)
    for number in range(5):  # all orders land every night; what lands on nights 3 and 4 is of nights 0 and 1
        known = [{**row, "ds": FIRST + timedelta(days=number), "outcome": "x"} for row in nights.rows[: 2 * ORDERS]]
        wrong = [{**row, "label": None} for row in known] if number < 3 else known
        nights._put(monthly.label_table, FIRST + timedelta(days=number), wrong)
    report_experiment(spark, spec(lake, 3), monthly)
    report_experiment(spark, spec(lake, 4), monthly)
    for night, count in ((3, 1), (4, 2)):
        champion = nights.values("champion", nights=range(count))
        assert (stored(lake, night)["champion_units"], stored(lake, night)["nights"]) == (len(champion), count)


def test_units_count_once_by_their_first_night_with_a_label_and_no_night_on_which_one_stood_in(
    spark: SparkSession, lake: str
) -> None:
    nights = Nights(lake, declared(), worse=0.2)
    nights.add(0, range(ORDERS))
    nights.add(1, range(ORDERS // 2, 2 * ORDERS))  # half of them again
    nights.add(2, range(4 * ORDERS, 5 * ORDERS), fallen=True)
    nights.add(3, range(5 * ORDERS, 6 * ORDERS), labelled=False)
    nights.add(4, range(6 * ORDERS, 7 * ORDERS))
    result = report_experiment(spark, spec(lake, 4), nights.use_case)

    row = stored(lake, 4)
    champion, challenger = (nights.values(name, nights=range(2)) for name in ("champion", "challenger"))
    assert (row["champion_units"], row["units"], row["nights"]) == (len(champion), len(challenger), 2)
    assert (row["champion_mean"], row["mean"]) == pytest.approx((champion.mean(), challenger.mean()))
    assert row["difference"] == pytest.approx(challenger.mean() - champion.mean())
    assert row["lift"] == pytest.approx(challenger.mean() / champion.mean() - 1)
    assert row["low"] < row["difference"] < row["high"]
    assert (row["verdict"], row["decided_on"]) == ("higher", FIRST)
    assert row["mismatch_p"] > 0.01
    assert result.verdicts == {"challenger": "higher"}
    page = Path(result.links["experiment"]).read_text()
    assert "challenger is above champion in mean Brier score per unit, which is worse." in page
    assert "1 night does not\n    count" in page
    assert "2013-04-03" in page

    again = report_experiment(spark, spec(lake, 4), nights.use_case)
    assert again.outputs == result.outputs, "the same rows do not make a new version"
    assert Path(result.links["experiment"]).read_text() == page


@pytest.mark.parametrize(("metric", "of_row"), [
    ("label", lambda row: row["label"]),
    ("cost", lambda row: 2.0 * (1 - row["label"]) if row["decision"] else 10.0 * row["label"]),
])  # fmt: skip
def test_labels_and_costs_are_compared_too(spark: SparkSession, lake: str, metric: Any, of_row: Any) -> None:
    nights = Nights(lake, declared(metric=metric))
    nights.add(0, range(ORDERS))
    nights.add(1, range(ORDERS, 2 * ORDERS))
    report_experiment(spark, spec(lake, 2), nights.use_case)
    row = stored(lake, 2)
    for column, variant in (("champion_mean", "champion"), ("mean", "challenger")):
        rows = [
            of_row(scored) for scored in nights.rows if scored["variant"] == variant and scored["label"] is not None
        ]
        assert row[column] == pytest.approx(np.mean(rows))
    assert row["verdict"] == "running"


def test_a_horizon_is_judged_by_the_nights_that_reach_it(spark: SparkSession, lake: str) -> None:
    nights = Nights(lake, declared(design=FixedHorizon(units=ORDERS)))
    for number in range(4):
        nights.add(number, range(number * ORDERS, (number + 1) * ORDERS))
    for number, counted, verdict in ((1, 1, "running"), (2, 2, "undecided"), (4, 2, "undecided")):
        report_experiment(spark, spec(lake, number), nights.use_case)
        row = stored(lake, number)
        assert (row["nights"], row["verdict"], row["difference"] is None) == (counted, verdict, verdict == "running")


def test_an_experiment_on_the_same_units_every_night_is_said_to_stand_still(
    spark: SparkSession, lake: str, caplog: pytest.LogCaptureFixture
) -> None:
    nights = Nights(lake, declared())
    nights.add(0, range(ORDERS))
    nights.add(1, range(ORDERS, 2 * ORDERS))
    fresh = report_experiment(spark, spec(lake, 2), nights.use_case)
    assert fresh.nights_without_new_units == ()
    assert "No new units" not in Path(fresh.links["experiment"]).read_text()
    for number in (2, 3):
        nights.add(number, range(2 * ORDERS))
    stalled = report_experiment(spark, spec(lake, 4), nights.use_case)
    assert stored(lake, 4)["verdict"] == "running"
    assert stalled.nights_without_new_units == (date(2013, 4, 3), date(2013, 4, 4))
    assert "2 nights without new units, from 2013-04-03 on" in caplog.text
    page = Path(stalled.links["experiment"]).read_text()
    assert "<strong>No new units.</strong> The 2 nights from 2013-04-03 to 2013-04-04 added" in page


def test_a_night_without_labels_yet_is_no_data(spark: SparkSession, lake: str) -> None:
    nights = Nights(lake, declared())
    nights.add(0, range(ORDERS))
    result = report_experiment(spark, spec(lake, 0), nights.use_case)
    assert result.verdicts == {"challenger": "no_data"}
    assert "no night of the experiment has labels" in Path(result.links["experiment"]).read_text()


def test_a_variant_that_loses_labels_is_a_mismatch(spark: SparkSession, lake: str) -> None:
    nights = Nights(lake, declared(), worse=0.2)
    nights.add(0, range(ORDERS))
    lost = [{**row, "ds": FIRST + timedelta(days=1), "outcome": "x"} for row in nights.rows
            if row["variant"] == "champion" or row["order_id"] % 4]  # fmt: skip
    nights._put(nights.use_case.label_table, FIRST + timedelta(days=1), lost)
    report_experiment(spark, spec(lake, 1), nights.use_case)
    assert stored(lake, 1)["verdict"] == "mismatch"
    assert stored(lake, 1)["mismatch_p"] < 0.001


def test_a_split_that_was_changed_under_its_name_is_refused(spark: SparkSession, lake: str) -> None:
    nights = Nights(lake, declared())
    nights.add(0, range(ORDERS))
    changed = Nights(lake, declared(variants={"champion": 0.9, "challenger": 0.1}))
    changed.add(1, range(ORDERS))
    with pytest.raises(ContractError, match="units are in several variants of the experiment half") as failure:
        report_experiment(spark, spec(lake, 2), changed.use_case)
    assert failure.value.how_many == pytest.approx(0.4 * ORDERS, rel=0.1)
    assert not Lake(lake).table(EXPERIMENTS_TABLE).exists()


def test_rows_of_another_experiment_do_not_count(spark: SparkSession, lake: str) -> None:
    nights = Nights(lake, declared())
    nights.add(0, range(ORDERS), experiment="before")
    nights.add(1, range(ORDERS))
    report_experiment(spark, spec(lake, 2), nights.use_case)
    assert stored(lake, 2)["nights"] == 1


def test_what_is_not_there_is_said(spark: SparkSession, lake: str) -> None:
    with pytest.raises(ConfigurationError, match="no experiment is declared"):
        report_experiment(spark, spec(lake, 0), SHOP)
    with pytest.raises(LakeError, match="there is no table scores/shop"):
        report_experiment(spark, spec(lake, 0), declared())
