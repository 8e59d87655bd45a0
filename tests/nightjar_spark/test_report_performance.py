"""Nights judged by labels that came later, on real tables: what counts, what is kept, and what is said instead."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.declarations import with_fields
from tests.nightjar_spark.test_report_drift import SHOP

from nightjar.declaration.experiment import Experiment, Sequential
from nightjar.declaration.monitoring import Monitoring, Performance, Retraining
from nightjar.declaration.problem import Cost
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta, ledger
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.monitoring.performance.table import COUNTS_TABLE, PERFORMANCE_TABLE, performance_findings
from nightjar.problems.binary import metrics
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import GateError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar_spark.performance_counts import count_baselines
from nightjar_spark.report_performance import report_performance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
FIRST = date(2013, 4, 1)
ORDERS = 1200
COST = Cost(missed=10, false_alarm=2)
CASE = with_fields(
    SHOP,
    schedule={"first_night": FIRST},
    problem={"cost": COST},
    monitoring=Monitoring(
        performance=Performance(matured_after_nights=2, slices=("channel",)), retraining=Retraining(floor=0.6)
    ),
)


@pytest.fixture(autouse=True)
def settings(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")


def night(number: int) -> date:
    return FIRST + timedelta(days=number)


class Shop:
    """The same orders are scored every night, and their labels land the night after."""

    def __init__(self, lake: str, use_case: UseCase = CASE) -> None:
        self.lake, self.use_case = lake, use_case
        self.rows: dict[int, list[dict[str, Any]]] = {}

    def score(
        self, number: int, *, skill: float = 1.0, orders: int = ORDERS, seed: int | None = None, **fixed: Any
    ) -> None:
        random = np.random.default_rng(number if seed is None else seed)
        made = []
        for order in range(orders):
            p = float(1 / (1 + np.exp(-random.normal(-1.2, 1.0))))
            truth = p if skill else 0.25
            made.append({
                "ds": night(number), "order_id": order, "prediction": p, "decision": p >= COST.threshold,
                "channel": "web" if order % 3 else ("shop" if order % 60 else None),
                "model_name": "shop", "model_version": "1",
                "model_sha256": "ab", "features_version": 1, "dag_run_id": "r",
                "scored_at": datetime(2013, 4, 2, tzinfo=UTC), "label": float(random.random() < truth), **fixed,
            })  # fmt: skip
        self.rows[number] = made
        for schema in (self.use_case.score_table, self.use_case.feature_table):
            self._put(schema, number, made)

    def label(self, number: int, *, landed: float = 1.0, cancelled: int = 20, only: float | None = None) -> None:
        """Land the labels of the scores of night ``number``; every ``cancelled``-th order has none."""
        known = []
        for row in self.rows[number][: int(len(self.rows[number]) * landed)]:
            nothing = row["order_id"] % cancelled == 0
            label = None if nothing else row["label"] if only is None else only
            row["label"] = label
            known.append({**row, "label": label, "outcome": "cancelled" if nothing else "done", "known_at": None})
        for row in self.rows[number][len(known) :]:
            row["label"] = None
        self._put(self.use_case.label_table, number + 1, known)

    def nights(self, count: int, **more: Any) -> None:
        for number in range(count):
            self.score(number, **more)
            self.label(number)

    def _put(self, schema: Any, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        target = delta.arrow_schema(schema)
        columns = [{**{name: row.get(name) for name in target.names}, "ds": night(number)} for row in rows]
        table = pa.Table.from_pylist(columns, schema=target)
        written = write_files(iter(table.to_batches()), Lake(self.lake).table(schema).uri, target, ("ds",))
        Lake(self.lake).table(schema).commit(written, [night(number)], run_id="r")

    def spec(self, first: int, last: int | None = None) -> JobSpec:
        return JobSpec(
            program="report_performance", use_case="shop", first_night=night(first),
            last_night=night(first if last is None else last), dag_id="shop_nightly", run_id="r",
            task_id="report_performance", lake=self.lake,
        )  # fmt: skip

    def arrays(self, number: int, channel: str | None = "") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = [r for r in self.rows[number] if r["label"] is not None and channel in ("", r["channel"])]
        return tuple(np.array([r[name] for r in rows], float) for name in ("label", "prediction", "decision"))  # type: ignore[return-value]


def stored(lake: str, number: int, place: tuple[str, str] = ("", "")) -> dict[str, dict[str, Any]]:
    rows = Lake(lake).table(PERFORMANCE_TABLE).read_nights([night(number)]).to_pylist()
    return {row["metric"]: row for row in rows if (row["slice"], row["slice_value"]) == place}


def everything(lake: str) -> list[dict[str, Any]]:
    """Both tables' rows, without the column that differs by run."""
    rows = []
    for table in (PERFORMANCE_TABLE, COUNTS_TABLE):
        found = Lake(lake).table(table).open().to_pyarrow_table().to_pylist()
        rows += sorted(found, key=lambda row: (row["ds"], *(row[name] for name in table.key)))
    return rows


def cost_of(labels: np.ndarray, decisions: np.ndarray) -> float:
    return float(np.mean(np.where(decisions == 1, COST.false_alarm * (labels == 0), COST.missed * (labels == 1))))


def test_a_night_is_estimated_first_and_judged_when_its_labels_are_in(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.score(0)
    shop._put(CASE.label_table, 0, [{**row, "outcome": "done"} for row in shop.rows[0]])  # known when night 0 is scored
    before = {row["order_id"]: row["label"] for row in shop.rows[0]}
    result = report_performance(spark, shop.spec(0), CASE)
    assert (result.last.verdict, result.last.judged_night) == ("nothing_yet", None)
    early = stored(lake, 0)
    assert {row["verdict"] for row in early.values()} == {"estimated"}
    assert early["auc"]["value"] is None
    assert "Not evaluated yet" in Path(result.links["performance"]).read_text()
    assert result.metrics["estimated_auc"] == early["auc"]["estimate"]

    for number in (0, 1):
        if number:
            shop.score(number)
        shop.label(number)
    shop.score(2)
    report_performance(spark, shop.spec(1), CASE)
    result = report_performance(spark, shop.spec(2), CASE)
    assert (result.last.verdict, result.last.judged_night) == ("judged", FIRST)

    labels, predictions, decisions = shop.arrays(0)
    row = stored(lake, 0)
    assert row["auc"]["value"] == pytest.approx(metrics.auc(labels, predictions), abs=1e-4)
    assert row["pr_auc"]["value"] == pytest.approx(metrics.average_precision(labels, predictions), abs=1e-3)
    assert row["log_loss"]["value"] == pytest.approx(metrics.log_loss(labels, predictions), abs=1e-9)
    assert row["brier"]["value"] == pytest.approx(metrics.brier(labels, predictions), abs=1e-9)
    assert row["expected_cost"]["value"] == pytest.approx(cost_of(labels, decisions))
    assert row["label_rate"]["value"] == pytest.approx(labels.mean())
    rate = np.mean(list(before.values()))
    assert row["label_rate"]["baseline"] == pytest.approx(rate)
    assert row["brier"]["baseline"] == pytest.approx(np.mean((rate - labels) ** 2))
    assert row["brier"]["excess"] == pytest.approx(row["brier"]["value"] - row["brier"]["baseline"])
    assert all(entry["low"] <= entry["value"] <= entry["high"] for entry in row.values())
    assert (row["auc"]["rows"], row["auc"]["landed_rows"], row["auc"]["labelled_rows"]) == (1200, 1200, 1140)
    assert (row["auc"]["judged_on"], row["auc"]["model_version"], row["auc"]["holdout"]) == (night(2), "1", None)
    assert row["auc"]["estimate"] == early["auc"]["estimate"], "what was estimated then is kept"
    assert row["auc"]["estimate_error"] == row["auc"]["value"] - early["auc"]["estimate"]
    assert result.metrics["auc"] == row["auc"]["value"]
    assert result.metrics["label_share"] == 1.0
    assert result.metrics["auc_tie_error"] < 1e-4

    labels, predictions, _ = shop.arrays(0, "web")
    assert stored(lake, 0, ("channel", "web"))["auc"]["value"] == pytest.approx(
        metrics.auc(labels, predictions), abs=1e-4
    )
    small = stored(lake, 0, ("channel", "missing"))
    assert {(entry["verdict"], entry["reason"]) for entry in small.values()} == {
        ("not_judged", "fewer labelled rows than min_slice_rows")
    }
    page = Path(result.links["performance"]).read_text()
    assert "Too few labels to judge: missing." in page
    assert "The ledger has no holdout metrics of version 1" in page
    assert "The last 1 judged night, pooled" in Path(result.links["performance_week"]).read_text()


def test_a_range_of_nights_is_as_single_ones_and_a_rerun_changes_nothing(
    spark: SparkSession, lake: str, tmp_path: Path
) -> None:
    shop = Shop(lake)
    shop.nights(6)
    for number in range(6):
        last = report_performance(spark, shop.spec(number), CASE)
    singles, page = everything(lake), Path(last.links["performance"]).read_text()
    week = Path(last.links["performance_week"]).read_text()
    again = report_performance(spark, shop.spec(3), CASE)
    assert again.outputs == last.outputs, "the same rows do not make a new version"
    assert everything(lake) == singles

    other = tmp_path / "other"
    other.mkdir()
    shop.lake = str(other)
    for number, rows in list(shop.rows.items()):
        shop._put(CASE.score_table, number, rows)
        shop._put(CASE.feature_table, number, rows)
        shop._put(CASE.label_table, number + 1, [{**row, "outcome": "done"} for row in rows])
    whole = report_performance(spark, shop.spec(0, 5), CASE)
    assert everything(str(other)) == singles
    assert Path(whole.links["performance"]).read_text().replace(str(other), lake) == _but_versions(page, whole, last)
    assert "AUC by night" in page
    assert "The last 4 judged nights, pooled" in week
    assert [entry.verdict for entry in whole.nights.values()] == ["nothing_yet"] * 2 + ["judged"] * 4


def _but_versions(page: str, whole: JobResult, last: JobResult) -> str:
    for table, version in last.inputs.items():
        page = page.replace(f"<dt>{table}</dt><dd>Delta version {version}</dd>",
                            f"<dt>{table}</dt><dd>Delta version {whole.inputs[table]}</dd>")  # fmt: skip
    return page


def test_a_night_scored_anew_is_judged_anew_with_the_labels_that_had_come(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.nights(4)
    for number in range(4):
        report_performance(spark, shop.spec(number), CASE)
    before, next_night = stored(lake, 1), stored(lake, 2)
    truth = [row["label"] for row in shop.rows[1]]
    shop.score(1, seed=77)
    for row, label in zip(shop.rows[1], truth, strict=True):
        row["label"] = label
    report_performance(spark, shop.spec(1), CASE)
    after = stored(lake, 1)
    labels, predictions, _ = shop.arrays(1)
    assert after["auc"]["value"] == pytest.approx(metrics.auc(labels, predictions), abs=1e-4)
    assert after["auc"]["value"] != before["auc"]["value"]
    assert after["auc"]["estimate"] != before["auc"]["estimate"]
    assert after["auc"]["judged_on"] == night(3)
    assert stored(lake, 2) == next_night


def test_nights_that_cannot_be_judged_are_said_to_be_so(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.nights(1)
    shop.score(1)
    shop.label(1, landed=0.5)
    shop.score(3)
    shop.score(4)
    report_performance(spark, shop.spec(1), CASE)
    result = report_performance(spark, shop.spec(3), CASE)
    row = stored(lake, 1)
    reason = "outcomes of 600 of 1200 scores have landed, below min_label_share 0.9"
    assert {(e["verdict"], e["reason"], e["value"]) for e in row.values()} == {("not_judged", reason, None)}
    assert row["auc"]["estimate"] is not None
    assert (result.last.verdict, result.metrics["label_share"]) == ("not_judged", 0.5)
    assert "auc" not in result.metrics
    assert f"Not judged:</span> {reason}." in Path(result.links["performance"]).read_text()
    assert not Lake(lake).table(COUNTS_TABLE).read_nights([night(1)]).num_rows
    assert performance_findings(Lake(lake), CASE, night(3)) == []

    result = report_performance(spark, shop.spec(4), CASE)
    assert stored(lake, 2)["auc"]["reason"] == "no scores of this night are published"
    assert "Not judged:</span> no scores of this night are published." in Path(result.links["performance"]).read_text()
    with pytest.raises(GateError, match="no scores of 2013-04-03 are published"):
        report_performance(spark, shop.spec(2), CASE)


def test_outcomes_without_a_label_have_landed_and_labels_all_alike_leave_ranks_unjudged(
    spark: SparkSession, lake: str
) -> None:
    shop = Shop(lake)
    shop.score(0)
    shop.label(0, cancelled=3, only=0.0)
    shop.score(2)
    result = report_performance(spark, shop.spec(2), CASE)
    row = stored(lake, 0)
    assert (row["auc"]["verdict"], row["auc"]["reason"]) == (
        "not_judged",
        "all labels are equal, so ranks cannot be judged",
    )
    assert (row["brier"]["verdict"], row["brier"]["labelled_rows"]) == ("judged", 800)
    assert result.last.verdict == "judged"
    assert "Judged in part:</span> all labels are equal" in Path(result.links["performance"]).read_text()
    shop.label(0, cancelled=1)
    result = report_performance(spark, shop.spec(2), CASE)
    assert (result.last.verdict, stored(lake, 0)["brier"]["reason"]) == ("not_judged", "no row has a label")


def test_a_model_that_has_gone_bad_is_found_by_floor_holdout_and_baseline(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.nights(7, skill=0.0)
    spec = shop.spec(0, 6)
    said = {"full": {"version": "1", "verdict": "promote", "reasons": []}}
    figures = {"holdout_auc": 0.74, "holdout_rows": 1000.0, "holdout_positives": 250.0}
    event = ledger.Event.of(spec, "gate", model_version="1", details={"candidates": said, "metrics": figures})
    ledger.record(Lake(lake), event)
    result = report_performance(spark, spec, CASE)
    row = stored(lake, 4)
    assert (row["auc"]["holdout"], row["label_rate"]["holdout"], row["brier"]["holdout"]) == (0.74, 0.25, None)
    found = performance_findings(Lake(lake), CASE, night(6))
    assert [(entry.subject, entry.severity) for entry in found] == [
        ("shop auc below the floor", "breach"),
        ("shop auc below the holdout", "warn"),
        ("shop log_loss above the baseline", "warn"),
        ("shop brier above the baseline", "warn"),
        ("shop expected_cost above the baseline", "warn"),
    ]  # fmt: skip
    assert all(
        entry.severity_ratio > 1 and entry.night == night(6) and entry.link == result.links["performance"]
        for entry in found
    )
    assert found[0].what.startswith("scores of 2013-04-05: the AUC is ")
    assert result.last.findings == tuple(entry.subject for entry in found)
    assert "Below the floor:" in Path(result.links["performance"]).read_text()
    assert [entry.subject for entry in performance_findings(Lake(lake), CASE, night(3))] == [
        "shop auc below the floor"
    ], "two nights are too few for a warning"
    assert performance_findings(Lake(lake), CASE, night(1)) == []


def test_the_champion_s_part_of_a_split_night_is_judged(spark: SparkSession, lake: str) -> None:
    experiment = Experiment(
        name="half", variants={"champion": 0.5, "challenger": 0.5}, metric="brier",
        design=Sequential(effect=0.02), first_night=FIRST,
    )  # fmt: skip
    shop = Shop(lake, replace(CASE, scoring=Scoring(experiment=experiment)))
    shop.score(0)
    for row in shop.rows[0]:
        if row["order_id"] % 2:
            row |= {"variant": "challenger", "experiment": "half", "model_version": "2", "prediction": 0.5}
        else:
            row |= {"variant": "champion", "experiment": "half"}
    shop._put(shop.use_case.score_table, 0, shop.rows[0])
    shop.label(0)
    shop.score(2)
    report_performance(spark, shop.spec(2), shop.use_case)
    row = stored(lake, 0)["auc"]
    assert (row["rows"], row["model_version"]) == (ORDERS / 2, "1")


def test_several_versions_are_named_and_have_no_holdout(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.nights(1)
    shop._put(CASE.score_table, 0, [{**row, "model_version": str(1 + row["order_id"] % 2)} for row in shop.rows[0]])
    result = report_performance(spark, shop.spec(0), CASE)
    assert stored(lake, 0)["auc"]["model_version"] == "1,2"
    assert json.loads(dump_json(result))["last"]["verdict"] == "nothing_yet"


def test_the_constant_is_what_was_known_at_the_prediction_moment(spark: SparkSession, lake: str) -> None:
    """A label counts from the local midnight after it is known, for at most four weeks."""
    case = with_fields(CASE, schedule={"timezone": "America/New_York"})
    midnight = datetime(2013, 4, 2, 4, tzinfo=UTC)  # that ends the first of April in New York
    moments = [midnight - timedelta(minutes=1), midnight + timedelta(minutes=1), None, None]
    rows = [
        {"order_id": order, "label": label, "known_at": known, "outcome": "done"}
        for order, (label, known) in enumerate(zip([1.0, 0.0, 0.0, None], moments, strict=True))
    ]
    Shop(lake)._put(case.label_table, 0, rows)
    Shop(lake)._put(case.label_table, 30, [{"order_id": 9, "label": 1.0, "outcome": "done"}])
    nights = [night(i) for i in (-1, 0, 1, 27, 28, 29, 30)]
    baselines = count_baselines(spark, Lake(lake), case, {"labels/shop": 2}, nights)
    rates = {day: baseline["rate"] for day, baseline in baselines.items()}
    assert rates == {night(0): 1 / 2, night(1): 1 / 3, night(27): 1 / 3, night(28): 0.0, night(30): 1.0}


def test_a_night_judged_before_its_labels_can_land_is_no_longer_judged(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake)
    shop.nights(3)
    report_performance(spark, shop.spec(0, 2), CASE)
    assert stored(lake, 0)["auc"]["judged_on"] == night(2)
    later = with_fields(
        CASE, target={"label_horizon_nights": 3}, monitoring={"performance": {"matured_after_nights": None}}
    )
    report_performance(spark, shop.spec(0), later)
    assert {row["judged_on"] for row in stored(lake, 0).values()} == {None}
