from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.declarations import with_fields
from tests.landed_nights import NIGHTS, SHOP, shop_spec

from nightjar.declaration.rules import between
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.protocol.errors import ContractError
from nightjar.protocol.results import TableRows, ValidateFeaturesResult

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
FIRST, SECOND = NIGHTS


class Validation:
    """The small use case's lake with two ingested nights, and its validation."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.spark, self.lake = spark, str(root / "lake")

    def features(self, nights: Sequence[date], *, rows: int = 8, **changed: Any) -> None:
        """Write the nights' features: those of the orders that landed, with ``changed`` values in the first row."""
        import pyarrow as pa

        schema = delta.arrow_schema(SHOP.feature_table)
        lines = [
            {"ds": night, "shop": "NS"[i % 2], "number": i, "amount": 10.0 + i, **(changed if i == 0 else {})}
            for night in nights
            for i in range(rows)
        ]
        table = pa.Table.from_pylist(lines, schema=schema)
        uri = Lake(self.lake).table(SHOP.feature_table).uri
        written = write_files(iter(table.to_batches()), uri, schema, ("ds",))
        Lake(self.lake).table(SHOP.feature_table).commit(written, nights, run_id="r")

    def validate(self, first: date = FIRST, last: date = SECOND, *, use_case: UseCase = SHOP) -> ValidateFeaturesResult:
        from nightjar_spark.validate_features import validate_features

        return validate_features(self.spark, shop_spec("validate_features", self.lake, first, last), use_case)

    def stopped(self, *, use_case: UseCase = SHOP) -> ContractError:
        with pytest.raises(ContractError) as caught:
            self.validate(use_case=use_case)
        assert Path(caught.value.where).is_file(), "the message leads to a page that is there"
        return caught.value


@pytest.fixture
def shop(spark: SparkSession, ingested_shop: Path, tmp_path: Path) -> Validation:
    shutil.copytree(ingested_shop, tmp_path, dirs_exist_ok=True)
    return Validation(spark, tmp_path)


def test_features_that_keep_their_contract_pass_and_their_page_is_reachable(shop: Validation) -> None:
    shop.features(NIGHTS)
    result = shop.validate()
    assert (result.rows_in, result.rows_out) == (16, 16)
    assert result.tables == {
        "features/shop": TableRows(rows=16, broken_rules={}),
        "raw/orders": TableRows(rows=16, broken_rules={}),
        "raw/prices": TableRows(rows=6, broken_rules={"price_known": 2}),
    }
    page = Path(result.data_docs)
    assert page.is_relative_to(f"{shop.lake}/data_docs/shop/validations/features_shop")
    text = page.read_text()
    assert "No row breaks amount_between: amount is outside 0 to 500 euros" in text
    assert "Every night has the rows of its source" in text
    assert result.inputs == {"features/shop": 1, "raw/orders": 1, "raw/prices": 1}


def test_earlier_runs_stay_listed(shop: Validation) -> None:
    shop.features(NIGHTS)
    pages = [Path(shop.validate().data_docs) for _ in range(2)]
    index = Path(shop.lake, "data_docs/shop/index.html").read_text()
    assert pages[0] != pages[1]
    for page in pages:
        assert page.is_file()
        assert page.parent.name in index


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amount": 501.0}, "features/shop breaks amount_between in 2 of 16 rows (amount is outside 0 to 500 euros)"),
        ({"number": 2}, "features/shop breaks key_unique in 4 of 16 rows"),
    ],
)
def test_broken_rule_stops_the_night(shop: Validation, changed: dict[str, Any], said: str) -> None:
    shop.features(NIGHTS, **changed)
    error = shop.stopped()
    assert said in error.what
    assert error.what.startswith("nights 2013-04-01..2013-04-02: ")
    assert error.how_many == (4 if "key_unique" in said else 2)
    assert "then clear ingest" in error.fix


def test_warning_is_on_the_page_and_does_not_stop(shop: Validation) -> None:
    rule = between("amount", 0, 12, unit="euros", severity="warn")
    use_case = with_fields(SHOP, features={"rules": (rule,)})
    shop.features(NIGHTS)
    assert shop.validate(use_case=use_case).tables["features/shop"].broken_rules == {"amount_between": 10}


def test_night_without_rows_stops(shop: Validation) -> None:
    shop.features([FIRST])
    assert "features/shop has no rows in 1 of 2 nights, first 2013-04-02" in shop.stopped().what


def test_validation_over_nothing_stops(shop: Validation) -> None:
    shop.features(NIGHTS, rows=0)
    assert "features/shop has no rows in 2 of 2 nights" in shop.stopped().what


def test_night_with_fewer_rows_than_its_schedule_stops(shop: Validation) -> None:
    shop.features([FIRST])
    shop.features([SECOND], rows=7)
    assert "features/shop has 7 rows for 8 expected in night 2013-04-02 (1 such nights)" in shop.stopped().what


def test_declared_feature_that_is_not_there_stops(shop: Validation) -> None:
    from nightjar.declaration.features import Feature

    shop.features(NIGHTS)
    weight = Feature("weight", "numeric", "Weight, kg.")
    use_case = with_fields(SHOP, features={"columns": (*SHOP.features.columns, weight)})
    assert "features/shop lacks the columns weight" in shop.stopped(use_case=use_case).what


def test_raw_rows_must_still_keep_their_contract(shop: Validation) -> None:
    shop.features(NIGHTS)
    orders, prices = SHOP.data.sources
    stricter = replace(orders, rules=(*orders.rules[:2], between("amount", 0, 16, unit="euros")))
    error = shop.stopped(use_case=with_fields(SHOP, data={"sources": (stricter, prices)}))
    assert error.what == (
        "nights 2013-04-01..2013-04-02: raw/orders breaks amount_between in 2 of 16 rows "
        "(amount is outside 0 to 16 euros)"
    )
