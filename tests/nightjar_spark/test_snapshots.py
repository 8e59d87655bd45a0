"""Snapshot tables: rows are valid until they are replaced, on nights with a file and on nights without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.declarations import with_fields
from tests.landed_nights import ORDERS, SHOP, orders_of, write_manifest

from nightjar.declaration.data import Data, Snapshot, Source
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import ConfigurationError, ContractError, SourceError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights
from nightjar_spark.feature_inputs import read_inputs
from nightjar_spark.ingest import ingest
from nightjar_spark.raw_tables import valid_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
FIRST = date(2013, 4, 1)
CUSTOMERS = Source(
    file="customers.csv",
    table=TableSchema(
        name="raw/customers",
        comment="Customers.",
        key=("customer",),
        columns=(DS, Column("customer", "string", "Customer."), Column("tier", "int", "Tier."), *LANDED),
    ),
    snapshot=Snapshot(max_age_nights=3),
)
RETURNS = Source(
    file="returns.csv",
    table=TableSchema(
        name="raw/returns",
        comment="Returns.",
        key=("number",),
        columns=(DS, Column("number", "int", "Number."), *LANDED),
    ),
)


def case_of(snapshot: Snapshot) -> UseCase:
    customers = replace(CUSTOMERS, snapshot=snapshot)
    data = Data(sources=(ORDERS, RETURNS, customers), features_from="orders", labels_from="returns")
    return with_fields(SHOP, data=data, schedule={"first_night": FIRST})


def night(number: int) -> date:
    return FIRST + timedelta(days=number)


class Shop:
    """Nights of the shop, whose customers land only on some."""

    def __init__(self, spark: SparkSession, root: Path, snapshot: Snapshot) -> None:
        self.spark, self.root, self.use_case = spark, root, case_of(snapshot)
        self.lake = Lake(str(root / "lake"))

    def land(self, number: int, customers: Mapping[str, int] | None) -> None:
        """Land a night and ingest it; without ``customers`` their file is left out."""
        folder = self.root / "landing" / SHOP.name / night(number).isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, Sequence[str]] = {
            "orders.csv": ["shop,number,amount,placed_at", *orders_of(night(number))],
            "returns.csv": ["number", "1", "2"],
        }
        if customers is not None:
            files["customers.csv"] = ["customer,tier", *(f"{name},{tier}" for name, tier in customers.items())]
        for stale in folder.glob("*.csv"):
            stale.unlink()
        for name, lines in files.items():
            (folder / name).write_text("".join(f"{line}\n" for line in lines))
        write_manifest(folder)
        ingest(self.spark, self.spec(number), self.use_case, str(self.root / "landing"))

    def spec(self, number: int) -> JobSpec:
        return JobSpec(
            program="ingest", use_case="shop", first_night=night(number), last_night=night(number),
            dag_id="shop_nightly", run_id="r", task_id="ingest", lake=str(self.lake),
        )  # fmt: skip

    def valid(self, first: int, last: int) -> dict[int, dict[str, int]]:
        """The customers' tiers by night, as features read them."""
        nights = Nights(first=night(first), last=night(last), timezone="UTC")
        rows = read_inputs(self.spark, self.lake, self.use_case, nights).tables["customers"].collect()
        found: dict[int, dict[str, int]] = {number: {} for number in range(first, last + 1)}
        for row in rows:
            found[(row["ds"] - FIRST).days][row["customer"]] = row["tier"]
        return found


def test_rows_are_valid_until_they_are_replaced(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, Snapshot(max_age_nights=3))
    landed: list[Mapping[str, int] | None] = [{"ann": 1, "bob": 1}, None, {"bob": 2}, {}, {"cat": 3}]
    for number, customers in enumerate(landed):
        shop.land(number, customers)
    expected = {
        0: {"ann": 1, "bob": 1}, 1: {"ann": 1, "bob": 1}, 2: {"ann": 1, "bob": 2}, 3: {"ann": 1, "bob": 2},
        4: {"ann": 1, "bob": 2, "cat": 3},
    }  # fmt: skip
    assert shop.valid(0, 4) == expected
    assert {number: shop.valid(number, number)[number] for number in range(5)} == expected, "night by night"
    version = shop.lake.open_table("raw/customers").version()
    shop.land(1, None)
    assert shop.lake.open_table("raw/customers").version() == version, "a rerun changes nothing"
    shop.land(2, None)  # delivered by mistake, and withdrawn
    assert shop.valid(2, 3) == {2: {"ann": 1, "bob": 1}, 3: {"ann": 1, "bob": 1}}


def test_of_whole_snapshots_a_key_that_is_left_out_is_gone(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, Snapshot(holds="all"))
    for number, customers in enumerate([{"ann": 1, "bob": 1}, None, {"bob": 2}]):
        shop.land(number, customers)
    assert shop.valid(0, 2) == {0: {"ann": 1, "bob": 1}, 1: {"ann": 1, "bob": 1}, 2: {"bob": 2}}
    with pytest.raises(SourceError, match=r"customers\.csv of night 2013-04-04 has a header and no rows"):
        shop.land(3, {})


def test_a_snapshot_that_is_missing_or_too_old_is_an_error_that_says_so(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, Snapshot(max_age_nights=1))
    shop.land(0, None)
    with pytest.raises(SourceError, match=r"no file of customers\.csv has landed until 2013-04-01") as caught:
        shop.valid(0, 0)
    assert "run ingest for its night" in caught.value.fix
    shop.land(0, {"ann": 1})
    for number in (1, 2):
        shop.land(number, None)
    assert shop.valid(0, 1)[1] == {"ann": 1}
    with pytest.raises(SourceError, match=r"customers\.csv is 2 nights old on 2013-04-03, more than 1") as caught:
        shop.valid(1, 2)
    assert (caught.value.where, caught.value.how_many) == ("raw/customers", 1)


def test_two_rows_of_one_key_in_a_night_are_rejected(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, Snapshot())
    shop.land(0, {"ann": 1})
    folder = tmp_path / "landing" / SHOP.name / night(0).isoformat()
    (folder / "customers.csv").write_text("customer,tier\nann,1\nann,2\nbob,1\n")
    write_manifest(folder)
    with pytest.raises(ContractError, match="customers"):
        ingest(spark, shop.spec(0), shop.use_case, str(tmp_path / "landing"))
    assert shop.valid(0, 0) == {0: {"ann": 1}}, "the night keeps what was right"


def test_entities_and_labels_cannot_be_snapshots() -> None:
    with pytest.raises(ConfigurationError, match="labels_from names customers, a snapshot") as caught:
        Data(sources=(ORDERS, CUSTOMERS), features_from="orders", labels_from="customers")
    assert "join the snapshot" in caught.value.fix


CHANGES = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 5), max_size=3), min_size=2, max_size=6)


@given(CHANGES, CHANGES, st.sampled_from(["all", "changes"]))
@settings(max_examples=12)
def test_what_lands_later_changes_no_earlier_night(
    spark: SparkSession, before: list[dict[str, int]], after: list[dict[str, int]], holds: Any
) -> None:
    source = replace(CUSTOMERS, snapshot=Snapshot(holds=holds))

    def valid(landed: list[dict[str, int]]) -> list[tuple[Any, ...]]:
        rows = [(night(n), name, tier) for n, files in enumerate(landed) for name, tier in files.items()]
        frame = spark.createDataFrame(rows, "ds date, customer string, tier int")
        nights = [night(n) for n in range(len(before))]
        return sorted(tuple(row) for row in valid_rows(spark, frame, source, nights).collect())

    def plainly() -> list[tuple[Any, ...]]:
        held: dict[str, int] = {}
        found = []
        for n, files in enumerate(before):
            held = (dict(files) if files else held) if holds == "all" else {**held, **files}
            found += [(night(n), name, tier) for name, tier in held.items()]
        return sorted(found)

    assert valid([*before, *after]) == valid(before) == plainly()
