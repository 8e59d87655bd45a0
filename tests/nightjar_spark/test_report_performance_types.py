"""Nights of numbers, of classes and of rankings, judged on real tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics
from tests.declarations import with_fields
from tests.nightjar_spark.test_report_drift import SHOP

from nightjar.declaration.entity import Entity
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring, Performance, Retraining
from nightjar.declaration.problem import CostMatrix, Multiclass, Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.declaration.ranking import Ranking
from nightjar.declaration.tables import Column
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta, ledger
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.monitoring.incidents.retraining_evidence import collect_evidence
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.table import COUNTS_TABLE, PERFORMANCE_TABLE, performance_findings
from nightjar.protocol.job import JobSpec
from nightjar_spark.report_performance import report_performance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
FIRST = date(2013, 4, 1)
ORDERS = 900
CLASSES = ("early", "late", "cancelled")
COSTS = {"early": {"late": 1.0}, "late": {"early": 5.0, "cancelled": 2.0}, "cancelled": {"early": 20.0, "late": 8.0}}
MATRIX = np.array([[0, 1, 0], [5, 0, 2], [20, 8, 0]], float)
PERFORMANCE = Performance(matured_after_nights=2, slices=("channel",))


def case_of(problem: Any, retraining: Retraining) -> UseCase:
    return with_fields(
        SHOP, schedule={"first_night": FIRST}, problem=problem, training=Training(), gate=Gate(),
        monitoring=Monitoring(performance=PERFORMANCE, retraining=retraining),
    )  # fmt: skip


MINUTES = case_of(
    Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5, 0.9), cost=QuantileCost(under=3, over=1)),
    Retraining(ceiling=8.0),
)
KINDS = case_of(Multiclass(classes=CLASSES, cost=CostMatrix(costs=COSTS)), Retraining(floor=0.5))
LISTS = with_fields(
    case_of(Multiclass(classes=CLASSES), Retraining(floor=0.5)),
    entity=Entity(
        key=tuple(
            Column(name, "string" if name == "customer" else "int", f"{name}.", nullable=False)
            for name in ("customer", "product", "order_id")
        )
    ),
    problem=Ranking(group=("customer",), item=("product",), k=3, popularity="amount", last_seen="weekday"),
    monitoring={"performance": Performance(matured_after_nights=2, slices=("customer",), min_slice_rows=1)},
)


@pytest.fixture(autouse=True)
def settings(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")


def night(number: int) -> date:
    return FIRST + timedelta(days=number)


def numbers(seed: int, *, off: float = 0.0) -> list[dict[str, Any]]:
    """Scored orders of a regression whose labels are ``off`` above the predictions, apart from noise."""
    random = np.random.default_rng(seed)
    p = random.gamma(2.0, 8.0, ORDERS)
    labels = p + off + random.normal(0.0, 6.0, ORDERS)
    return [
        {"prediction": p[i], "q10": p[i] - 7.7, "q50": p[i], "q90": p[i] + 7.7, "decision": p[i] + 4.0,
         "label": float(labels[i])}
        for i in range(ORDERS)
    ]  # fmt: skip


def classes(seed: int, *, is_random: bool = False) -> list[dict[str, Any]]:
    """Scored orders of several classes; the labels follow the probabilities, or have nothing to do with them."""
    random = np.random.default_rng(seed)
    odds = np.exp(random.normal([1.0, 0.2, -0.8], 1.0, (ORDERS, 3)))
    p = odds / odds.sum(axis=1, keepdims=True)
    of_label = np.full_like(p, 1 / 3) if is_random else p
    labels = (random.random((ORDERS, 1)) > of_label.cumsum(axis=1)[:, :2]).sum(axis=1)
    return [
        {**{f"p_{name}": p[i, k] for k, name in enumerate(CLASSES)}, "prediction": CLASSES[p[i].argmax()],
         "decision": CLASSES[(p[i] @ MATRIX).argmin()], "label": CLASSES[labels[i]]}
        for i in range(ORDERS)
    ]  # fmt: skip


def lists(seed: int) -> list[dict[str, Any]]:
    """Products of each customer: 12 of 40, of which the first are listed; those of the customer b are its own."""
    random = np.random.default_rng(seed)
    return [
        {"customer": customer, "product": product + 100 * (customer == "b"), "rank": rank, "prediction": 1.0 / rank,
         "label": float(random.integers(0, 2))}
        for customer in "abcde"
        for rank, product in enumerate(random.permutation(40)[:12].tolist(), 1)
    ]  # fmt: skip


class Shop:
    """Nights of scored orders whose labels land the night after; every 20th order is cancelled and has none."""

    def __init__(self, lake: str, use_case: UseCase) -> None:
        self.lake, self.use_case = lake, use_case
        self.rows: dict[int, list[dict[str, Any]]] = {}

    def add(self, number: int, scored: Sequence[Mapping[str, Any]], *, is_labelled: bool = True) -> None:
        common = {
            "model_name": "shop", "model_version": "1", "model_sha256": "ab", "features_version": 1, "dag_run_id": "r",
            "scored_at": datetime(2013, 4, 2, tzinfo=UTC), "outcome": "done",
        }  # fmt: skip
        rows = [
            {**common, **row, "order_id": order, "channel": "web" if order % 3 else "shop",
             "label": None if order % 20 == 0 else row["label"]}
            for order, row in enumerate(scored)
        ]  # fmt: skip
        self.rows[number] = rows
        for schema in (self.use_case.score_table, self.use_case.feature_table):
            self._put(schema, number, rows)
        if is_labelled:
            self._put(self.use_case.label_table, number + 1, rows)

    def _put(self, schema: Any, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        target = delta.arrow_schema(schema)
        columns = [{**{name: row.get(name) for name in target.names}, "ds": night(number)} for row in rows]
        table = pa.Table.from_pylist(columns, schema=target)
        written = write_files(iter(table.to_batches()), Lake(self.lake).table(schema).uri, target, ("ds",))
        Lake(self.lake).table(schema).commit(written, [night(number)], run_id="r")

    def spec(self, first: int, last: int) -> JobSpec:
        return JobSpec(
            program="report_performance", use_case="shop", first_night=night(first), last_night=night(last),
            dag_id="shop_nightly", run_id="r", task_id="report_performance", lake=self.lake,
        )  # fmt: skip

    def column(self, number: int, name: str, channel: str = "") -> Any:
        rows = [row for row in self.rows[number] if row["label"] is not None and channel in ("", row["channel"])]
        return np.array([row[name] for row in rows])


def stored(lake: str, number: int, place: tuple[str, str] = ("", "")) -> dict[str, dict[str, Any]]:
    rows = Lake(lake).table(PERFORMANCE_TABLE).read_nights([night(number)]).to_pylist()
    return {row["metric"]: row for row in rows if (row["slice"], row["slice_value"]) == place}


def everything(lake: str) -> list[dict[str, Any]]:
    rows = []
    for table in (PERFORMANCE_TABLE, COUNTS_TABLE):
        found = Lake(lake).table(table).open().to_pyarrow_table().to_pylist()
        rows += sorted(found, key=lambda row: (row["ds"], *(row[name] for name in table.key)))
    return rows


def record_gate(spec: JobSpec, figures: Mapping[str, float]) -> None:
    details = {"candidates": {"full": {"version": "1", "verdict": "promote", "reasons": []}}, "metrics": figures}
    ledger.record(Lake(spec.lake), ledger.Event.of(spec, "gate", model_version="1", details=details))


def test_a_regression_is_judged_against_its_labels_and_the_constants_known_then(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake, MINUTES)
    for number in range(4):
        shop.add(number, numbers(number), is_labelled=number < 3)
    result = report_performance(spark, shop.spec(0, 3), MINUTES)
    labels, predictions = shop.column(1, "label"), shop.column(1, "prediction")
    earlier = shop.column(0, "label")
    row = stored(lake, 1)
    assert {name: entry["value"] for name, entry in row.items()} == pytest.approx({
        "mae": metrics.mean_absolute_error(labels, predictions),
        "rmse": metrics.root_mean_squared_error(labels, predictions),
        "bias": (predictions - labels).mean(),
        "pinball": np.mean([metrics.mean_pinball_loss(labels, shop.column(1, f"q{q}"), alpha=q / 100)
                            for q in (10, 50, 90)]),
        "coverage": ((shop.column(1, "q10") <= labels) & (labels <= shop.column(1, "q90"))).mean(),
        "expected_cost": np.where(labels > predictions + 4, 3 * (labels - predictions - 4),
                                  predictions + 4 - labels).mean(),
        "label_mean": labels.mean(),
    }, abs=1e-9)  # fmt: skip
    assert row["label_mean"]["baseline"] == pytest.approx(earlier.mean(), abs=1e-9)
    assert row["rmse"]["baseline"] == pytest.approx(np.sqrt(((earlier.mean() - labels) ** 2).mean()))
    median = np.median(earlier)
    assert row["mae"]["baseline"] == pytest.approx(np.abs(median - labels).mean(), rel=0.01)
    assert (row["mae"]["rows"], row["mae"]["landed_rows"], row["mae"]["labelled_rows"]) == (900, 900, 855)
    assert all(entry["low"] <= entry["value"] <= entry["high"] for entry in row.values())
    assert row["mae"]["estimate"] is None
    web = stored(lake, 1, ("channel", "web"))["mae"]
    assert web["value"] == pytest.approx(
        np.abs(shop.column(1, "label", "web") - shop.column(1, "prediction", "web")).mean()
    )
    tonight = stored(lake, 3)
    assert {(entry["verdict"], entry["reason"], entry["value"]) for entry in tonight.values()} == {
        ("not_judged", "errors of a regression cannot be estimated from its predictions alone", None)
    }
    assert result.metrics["mae"] == row["mae"]["value"]
    assert "estimated_mae" not in result.metrics
    page = Path(result.links["performance"]).read_text()
    assert "Predicted and observed" in page
    assert "Errors of a regression cannot be estimated from its predictions alone." in page
    before = everything(lake)
    again = report_performance(spark, shop.spec(0, 3), MINUTES)
    assert everything(lake) == before
    assert again.outputs == result.outputs, "the same rows do not make a new version"


def test_intervals_are_clustered_by_the_declared_unit(spark: SparkSession, lake: str) -> None:
    """Every row is there three times under one unit: the interval is wider by about the root of three."""
    clustered = with_fields(MINUTES, monitoring={"performance": replace(PERFORMANCE, unit="amount")})
    shop = Shop(lake, clustered)
    for number in range(7):
        rows = numbers(number)[:300]
        shop.add(number, [{**row, "amount": float(place)} for row in rows for place in [rows.index(row)] * 3])
    report_performance(spark, shop.spec(0, 6), clustered)
    of_units = stored(lake, 3)["mae"]
    result = report_performance(spark, shop.spec(0, 6), MINUTES)
    by_rows = stored(lake, 3)["mae"]
    assert of_units["value"] == pytest.approx(by_rows["value"], rel=1e-12)
    width, plain = (row["high"] - row["low"] for row in (of_units, by_rows))
    assert width / plain == pytest.approx(3**0.5, rel=0.35)
    assert of_units["excess_high"] - of_units["excess_low"] > 1.2 * (by_rows["excess_high"] - by_rows["excess_low"])
    assert "clustered by amount" not in Path(result.links["performance"]).read_text()
    again = report_performance(spark, shop.spec(0, 6), clustered)
    for link in again.links.values():
        assert "Intervals are clustered by amount, whose rows are not independent." in Path(link).read_text()
    stored_counts = Lake(lake).table(COUNTS_TABLE).open().to_pyarrow_table().to_pylist()
    assert all(row["units"] for row in stored_counts)


def test_a_regression_that_went_bad_is_above_ceiling_holdout_and_baseline(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake, MINUTES)
    for number in range(7):
        shop.add(number, numbers(number, off=16.0))
    spec = shop.spec(0, 6)
    record_gate(spec, {"holdout_mae": 4.8, "holdout_rmse": 6.0})
    result = report_performance(spark, spec, MINUTES)
    findings = performance_findings(Lake(lake), MINUTES, night(6))
    assert [(finding.subject, finding.severity) for finding in findings] == [
        ("shop mae above the ceiling", "breach"),
        ("shop mae above the holdout", "warn"),
        ("shop mae above the baseline", "warn"),
        ("shop rmse above the baseline", "warn"),
        ("shop pinball above the baseline", "warn"),
        ("shop expected_cost above the baseline", "warn"),
    ]  # fmt: skip
    assert findings[0].what == (
        "scores of 2013-04-05: the mean absolute error in min is 15.8 (15.4 to 16.2), above the ceiling of 8"
    )
    assert all(finding.severity_ratio > 1 for finding in findings)
    page = Path(result.links["performance"]).read_text()
    assert "Above the ceiling:" in page
    policy = MINUTES.monitoring.retraining
    assert policy is not None
    watched, over = collect_evidence(Lake(lake), MINUTES, policy, night(6), champion="1")
    assert over is not None
    assert over.low > 8.0
    assert [entry.beyond_bound for entry in sorted(watched, key=lambda entry: entry.night)] == [False] * 2 + [True] * 5


def test_classes_are_estimated_first_and_judged_when_their_labels_land(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake, KINDS)
    for number in range(4):
        shop.add(number, classes(number), is_labelled=number < 3)
    result = report_performance(spark, shop.spec(0, 3), KINDS)
    labels, predicted = shop.column(1, "label"), shop.column(1, "prediction")
    earlier = shop.column(0, "label")
    row = stored(lake, 1)
    p = np.stack([shop.column(1, f"p_{name}") for name in CLASSES], axis=1)
    positions = np.array([CLASSES.index(name) for name in labels])
    decided = np.array([CLASSES.index(name) for name in shop.column(1, "decision")])
    assert row["accuracy"]["value"] == pytest.approx((labels == predicted).mean())
    assert row["log_loss"]["value"] == pytest.approx(-np.log(p[np.arange(len(p)), positions]).mean(), abs=1e-9)
    assert row["macro_f1"]["value"] == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert row["expected_cost"]["value"] == pytest.approx(MATRIX[positions, decided].mean())
    assert row["recall_late"]["value"] == pytest.approx((predicted[labels == "late"] == "late").mean())
    assert row["precision_late"]["value"] == pytest.approx((labels[predicted == "late"] == "late").mean())
    assert row["share_late"]["baseline"] == pytest.approx((earlier == "late").mean())
    assert all(entry["low"] <= entry["value"] <= entry["high"] for entry in row.values())
    every = np.array([[order[f"p_{name}"] for name in CLASSES] for order in shop.rows[3]])
    assert stored(lake, 3)["accuracy"]["estimate"] == pytest.approx(every.max(axis=1).mean(), abs=1e-9)
    assert stored(lake, 3)["log_loss"]["estimate"] == pytest.approx(-(every * np.log(every)).sum(axis=1).mean())
    assert result.metrics["estimated_accuracy"] == stored(lake, 3)["accuracy"]["estimate"]
    assert "True class" in Path(result.links["performance"]).read_text()
    assert "Recall" in Path(result.links["performance_week"]).read_text()


def test_classes_without_relation_to_the_labels_are_below_floor_holdout_and_baseline(
    spark: SparkSession, lake: str
) -> None:
    shop = Shop(lake, KINDS)
    for number in range(7):
        shop.add(number, classes(number, is_random=True))
    spec = shop.spec(0, 6)
    record_gate(spec, {"holdout_accuracy": 0.6})
    report_performance(spark, spec, KINDS)
    subjects = [finding.subject for finding in performance_findings(Lake(lake), KINDS, night(6))]
    assert subjects[:2] == ["shop accuracy below the floor", "shop accuracy below the holdout"]
    assert "shop log_loss above the baseline" in subjects


def test_a_ranking_is_judged_by_what_it_lists_over_groups_and_nights(spark: SparkSession, lake: str) -> None:
    shop = Shop(lake, LISTS)
    for number in range(5):
        shop.add(number, lists(number), is_labelled=number < 3)
    report_performance(spark, shop.spec(0, 4), LISTS)

    def expected(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        counts = Counter(row["product"] for row in rows)
        listed = [row["product"] for row in rows if row["rank"] <= 3]
        return {
            "catalogue_coverage": len(set(listed)) / len(counts),
            "novelty": np.mean([np.log2(len(rows) / counts[product]) for product in listed]),
        }

    for customer, place in (("", ("", "")), ("b", ("customer", "b"))):
        rows = [row for row in shop.rows[1] if customer in ("", row["customer"])]
        found = stored(lake, 1, place)
        assert {name: found[name]["value"] for name in expected(rows)} == pytest.approx(expected(rows), rel=1e-9)
    problem = performance_problem(LISTS.problem)
    counts = Lake(lake).table(COUNTS_TABLE).open().to_pyarrow_table().to_pylist()
    summaries = [problem.read_summary(row["summary"]) for row in counts if not row["slice"]]
    assert len(summaries) == 3
    together = problem.measure(problem.merge(summaries), confidence=0.95, baseline=None)
    of_nights = expected([row for number in range(3) for row in shop.rows[number]])
    for name, value in of_nights.items():
        interval = together[name].interval
        assert interval is not None
        assert interval.value == pytest.approx(value, rel=1e-9)
