"""check_skew on nights that were landed, built and scored: what differs is found, with its cause, and told apart."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.conftest import REPOSITORY
from tests.declarations import with_fields

from nightjar.declaration.data import Data, Source
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Binary
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta, files
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.monitoring.skew.table import ROWS, SKEW_TABLE, skew_findings
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.nights import Nights
from nightjar.runner import run_program
from nightjar_spark import skew_sample

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark
FIRST = date(2013, 4, 1)
SHOPS = 40
SALES = Source(
    file="sales.csv",
    table=TableSchema(
        name="raw/sales",
        comment="Sales of a day.",
        key=("shop",),
        columns=(
            DS,
            Column("shop", "int", "Shop.", nullable=False),
            Column("amount", "double", "Sold, euros."),
            *LANDED,
        ),
    ),
)
SHOP = UseCase(
    name="shop",
    title="Shops that sell out",
    owner="me",
    schedule=Schedule(
        timezone="UTC",
        nightly="@daily",
        training="@weekly",
        first_night=FIRST,
    ),
    data=Data(
        sources=(SALES,),
        features_from=SALES.name,
        labels_from=SALES.name,
        history_nights=2,
    ),
    entity=Entity(key=(Column("shop", "int", "Shop.", nullable=False),)),
    features=FeatureSet(
        columns=(
            Feature("amount", "numeric", "Sold, euros."),
            Feature("usual", "numeric", "Mean of three days, euros."),
            Feature("size", "categorical", "large or small."),
        )
    ),
    problem=Binary(),
    target=Target(label="Sold out.", prediction="Probability of selling out."),
    training=Training(),
    gate=Gate(floors={}),
)
Build = Callable[[Mapping[str, "DataFrame"], Nights], "DataFrame"]


def night(number: int) -> date:
    """Night ``number``, from 1."""
    return FIRST + timedelta(days=number - 1)


def features(
    tables: Mapping[str, DataFrame], nights: Nights, *, until: int = 0, factor: float = 1.0, whole: bool = False
) -> DataFrame:
    """The honest features, and dishonest ones.

    Args:
        tables: Raw tables.
        nights: What to build.
        until: Days after the night that ``usual`` looks at as well.
        factor: Another unit of ``usual``: other code.
        whole: ``size`` goes by the mean of all nights that are built together.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    sales = tables["sales"]
    asked = sales.where(F.col("ds").between(nights.first, nights.last))
    other = sales.select(F.col("ds").alias("day"), "shop", F.col("amount").alias("sold"))
    near = F.col("day").between(F.date_sub("ds", 2), F.date_add("ds", until))
    usual = asked.join(other, "shop").where(near).groupBy("ds", "shop").agg((F.avg("sold") * factor).alias("usual"))
    mean = F.avg("amount").over(Window.partitionBy() if whole else Window.partitionBy("ds"))
    sized = asked.withColumn("size", F.when(F.col("amount") > mean, "large").otherwise("small"))
    return sized.join(usual, ["ds", "shop"])


def labels(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    from pyspark.sql import functions as F

    sold = tables["sales"].where(F.col("ds").between(nights.first, nights.last))
    nothing = F.lit(None)
    return sold.select("*", nothing.alias("label"), F.lit("open").alias("outcome"), nothing.alias("known_at"))


class Shops:
    """A lake, and the nights of its shops."""

    def __init__(self, spark: SparkSession, lake: str, module: Any) -> None:
        self.spark, self.lake, self.module = spark, lake, module
        self.module.build_labels = labels
        self.code(features)

    def code(self, build: Build) -> None:
        """From now on, features are built so."""
        self.module.build_features = build

    def land(self, number: int, more: float = 0.0, shops: int = SHOPS) -> None:
        landed = {"ds": night(number), "source_file": "sales.csv", "landed_at": datetime(2013, 4, 2, tzinfo=UTC)}
        rows = [{**landed, "shop": i, "amount": 10.0 * i + number**2 + more} for i in range(shops)]
        self._put(SALES.table, rows, night(number))

    def build(self, first: int, last: int | None = None) -> JobResult:
        from nightjar_spark.build_features import build

        spec = self.spec("build_features", first, last)
        result = run_program(lambda s: build(self.spark, s, SHOP), spec)
        assert result.status == "succeeded", result.error
        return result

    def serve(self, *numbers: int) -> None:
        """A night: landed, built, scored."""
        for number in numbers:
            self.land(number)
            self.build(number)
            self.score(number)

    def score(self, number: int) -> None:
        version = int(Lake(self.lake).table(SHOP.feature_table).open().version())
        row = {
            "ds": night(number), "prediction": 0.5, "model_name": "shop", "model_version": "1", "model_sha256": "s",
            "features_version": version, "dag_run_id": f"run{number}", "scored_at": datetime(2013, 5, 1, tzinfo=UTC),
        }  # fmt: skip
        self._put(SHOP.score_table, [{**row, "shop": i} for i in range(SHOPS)], night(number))

    def check(self, number: int) -> JobResult:
        from nightjar_spark.check_skew import check_skew

        return check_skew(self.spark, self.spec("check_skew", number), SHOP)

    def found(self, number: int) -> dict[tuple[int, str], dict[str, Any]]:
        """Days before and column to the row of ``monitoring/skew``."""
        rows = Lake(self.lake).table(SKEW_TABLE).read_nights([night(number)]).to_pylist()
        return {((row["ds"] - row["checked_night"]).days, row["column_name"]): row for row in rows}

    def spec(self, program: str, first: int, last: int | None = None) -> JobSpec:
        return JobSpec(
            program=program,
            use_case=SHOP.name,
            first_night=night(first),
            last_night=night(last or first),
            dag_id="shop_nightly",
            run_id=f"run{last or first}",
            task_id=program,
            lake=self.lake,
        )

    def _put(self, schema: TableSchema, rows: list[dict[str, Any]], of: date) -> None:
        table = pa.Table.from_pylist(rows, delta.arrow_schema(schema))
        uri = Lake(self.lake).table(schema).uri
        written = write_files(iter(table.to_batches()), uri, table.schema, schema.partition_by)
        Lake(self.lake).table(schema).commit(written, [of], run_id="landing")


@pytest.fixture
def shops(spark: SparkSession, lake: str, monkeypatch: pytest.MonkeyPatch) -> Shops:
    module = ModuleType("use_cases.shop.features")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Shops(spark, lake, module)


def verdicts(found: Mapping[tuple[int, str], Mapping[str, Any]]) -> dict[tuple[int, str], str]:
    """Rows of the table that are not the same."""
    return {where: row["verdict"] for where, row in found.items() if row["verdict"] != "same"}


def test_on_the_first_night_there_is_nothing_to_compare_and_it_says_so(shops: Shops) -> None:
    shops.serve(1)
    result = shops.check(1)
    assert (result.status, result.verdict) == ("succeeded", "not_judged")
    (row,) = Lake(shops.lake).table(SKEW_TABLE).read_nights([night(1)]).to_pylist()
    assert (row["verdict"], row["cause"], row["checked_night"]) == ("not_judged", "No earlier night was scored.", None)
    assert skew_findings(Lake(shops.lake), "shop", night(1)) == []


def test_honest_features_are_the_same_and_a_rerun_says_so_again(shops: Shops) -> None:
    shops.serve(1)
    for number in range(2, 7):
        shops.land(number)
    shops.build(2, 6)
    shops.serve(7, 8)
    result = shops.check(8)
    found = shops.found(8)
    assert set(found) == {(days, column) for days in (1, 7) for column in (ROWS, "amount", "usual", "size")}
    assert verdicts(found) == {}
    assert {row["rows"] for row in found.values()} == {SHOPS}
    assert {row["differing_rows"] for row in found.values()} == {0}
    assert result.verdict == "same"
    assert result.checked_nights == (night(1), night(7))
    assert result.rows_in == result.rows_out == len(found)
    assert shops.check(8).outputs == result.outputs == {SKEW_TABLE.name: 1}
    assert skew_findings(Lake(shops.lake), "shop", night(8)) == []


def test_a_feature_that_peeks_into_the_future_is_caught(shops: Shops) -> None:
    shops.code(partial(features, until=1))
    shops.serve(1, 2, 3)
    result = shops.check(3)
    found = shops.found(3)
    assert verdicts(found) == {(1, "usual"): "skew"}
    row = found[1, "usual"]
    assert row["cause"] == skew_sample.READS_LATER_ROWS
    assert (row["rows"], row["differing_rows"], row["stored_differing_rows"]) == (SHOPS, SHOPS, 0)
    assert row["max_abs_difference"] == pytest.approx((1 + 4 + 9) / 3 - (1 + 4) / 2)
    assert result.skewed_columns == ("usual",)
    assert result.metrics == {"skewed_columns": 1.0}
    (finding,) = skew_findings(Lake(shops.lake), "shop", night(3))
    assert (finding.severity, finding.subject, finding.severity_ratio) == (
        "breach",
        "features/shop train/score skew",
        2.0,
    )
    assert "usual in 40 of 40 rows of 2013-04-02, by up to 2.17" in finding.what
    assert (REPOSITORY / finding.runbook).is_file()


def test_a_feature_that_depends_on_the_nights_built_together_is_caught(shops: Shops) -> None:
    shops.code(partial(features, whole=True))
    shops.land(1)
    shops.serve(1, 2)
    shops.land(3, more=100.0)
    shops.check(3)
    assert verdicts(shops.found(3)) == {(1, "size"): "skew"}
    assert shops.found(3)[1, "size"]["max_abs_difference"] is None


def test_raw_rows_that_landed_again_are_counted_apart(shops: Shops) -> None:
    shops.serve(1, 2)
    shops.land(1, more=30.0)  # a correction of the day before
    shops.serve(3)
    result = shops.check(3)
    found = shops.found(3)
    assert verdicts(found) == {(1, "usual"): "history_changed"}
    assert found[1, "usual"]["cause"] == "Landed again since then: raw/sales."
    assert found[1, "usual"]["max_abs_difference"] == pytest.approx(15)
    assert (result.verdict, result.skewed_columns) == ("history_changed", ())
    assert result.metrics == {"skewed_columns": 0.0}
    (finding,) = skew_findings(Lake(shops.lake), "shop", night(3))
    assert (finding.severity, finding.kind) == ("warn", "skew")


def test_rows_that_came_late_are_rows_that_differ(shops: Shops) -> None:
    shops.serve(1, 2)
    shops.land(2, shops=SHOPS + 3)
    shops.serve(3)
    shops.check(3)
    found = shops.found(3)
    assert verdicts(found) == {(1, ROWS): "history_changed", (1, "size"): "history_changed"}
    assert found[1, ROWS]["differing_rows"] == 3


def test_code_that_has_changed_since_is_caught(shops: Shops) -> None:
    shops.serve(1, 2)
    shops.code(partial(features, factor=2.0))
    shops.serve(3)
    shops.check(3)
    found = shops.found(3)
    assert verdicts(found) == {(1, "usual"): "skew"}
    assert found[1, "usual"]["cause"] == skew_sample.CODE_CHANGED


def test_code_is_the_cause_also_where_raw_rows_landed_again(shops: Shops) -> None:
    shops.serve(1, 2)
    shops.land(1, more=30.0)
    shops.code(partial(features, factor=2.0))
    shops.serve(3)
    shops.check(3)
    assert shops.found(3)[1, "usual"]["cause"] == skew_sample.CODE_CHANGED


def test_features_built_again_are_what_training_reads_already(shops: Shops) -> None:
    shops.serve(1, 2, 3)
    shops.code(partial(features, factor=2.0))
    shops.build(2)
    shops.code(features)
    shops.check(3)
    row = shops.found(3)[1, "usual"]
    assert (row["verdict"], row["cause"]) == ("skew", skew_sample.TABLE_CHANGED)
    assert (row["differing_rows"], row["stored_differing_rows"]) == (SHOPS, SHOPS)


def test_without_the_build_s_result_either_may_be_the_cause(shops: Shops) -> None:
    shops.serve(1, 2)
    shops.land(1, more=30.0)
    shops.serve(3)
    files.delete_file(f"{shops.spec('build_features', 2).output}/result.json")
    shops.check(3)
    assert shops.found(3)[1, "usual"]["cause"] == skew_sample.RAW_ROWS_LOST


def test_features_beyond_their_retention_are_not_judged(shops: Shops) -> None:
    shops.serve(1, 2, 3)
    shops.code(partial(features, factor=2.0))
    before = Lake(shops.lake).table(SHOP.feature_table).open()
    (served,) = active_files(before, {"ds": [str(night(2))]})
    shops.build(2)
    files.delete_file(f"{Lake(shops.lake).table(SHOP.feature_table).uri}/{served.path}")
    result = shops.check(3)
    (row,) = shops.found(3).values()
    assert (row["verdict"], row["checked_night"]) == ("not_judged", night(2))
    assert "older than the retention" in row["cause"]
    assert result.verdict == "not_judged"


def test_a_sample_is_the_same_rows_on_all_sides(shops: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skew_sample, "SAMPLE_ROWS", 10)
    shops.serve(1, 2, 3)
    shops.check(3)
    found = shops.found(3)
    assert verdicts(found) == {}
    (rows,) = {row["rows"] for row in found.values()}
    assert 0 < rows < SHOPS


def test_a_column_that_came_later_was_never_served_and_is_not_compared(shops: Shops) -> None:
    shops.serve(1, 2)
    wider = with_fields(SHOP, features={"columns": (*SHOP.features.columns, Feature("flag", "numeric", "A new one."))})
    Lake(shops.lake).table(wider.feature_table).ensure()
    shops.code(lambda tables, nights: features(tables, nights).selectExpr("*", "1.0 AS flag"))
    from nightjar_spark.check_skew import check_skew

    check_skew(shops.spark, shops.spec("check_skew", 3), wider)
    assert verdicts(shops.found(3)) == {}
    assert (1, "flag") not in shops.found(3)
