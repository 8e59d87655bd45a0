from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.sample import Sample
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.protocol.errors import GateError
from nightjar_spark import profiling
from nightjar_spark.profiling import fix_bins, profile_and_sample, profile_nights, profile_reference, profile_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

COLUMNS = [
    ProfiledColumn("amount", "numeric"),
    ProfiledColumn("rain", "numeric"),
    ProfiledColumn("seats", "numeric"),
    ProfiledColumn("constant", "numeric"),
    ProfiledColumn("nothing", "numeric"),
    ProfiledColumn("carrier", "categorical"),
    ProfiledColumn("odd name`s", "categorical"),
]
NIGHTS = [date(2013, 4, day) for day in (1, 2, 3)]
SCHEMA = (
    "ds date, amount double, rain double, seats int, constant double, nothing double, carrier string, "
    "`odd name``s` boolean"
)


@pytest.fixture(scope="module")
def data() -> dict[str, list[Any]]:
    """3,000 rows over three nights, with nulls, NaN, an infinity, a heavy zero, few values and a constant."""
    random = np.random.default_rng(17)
    rows = 3000
    amount = random.normal(100.0, 15.0, rows).tolist()
    amount[5], amount[6], amount[7] = math.nan, math.inf, None
    return {
        "ds": [NIGHTS[i % 3] for i in range(rows)],
        "amount": amount,
        "rain": np.where(random.random(rows) < 0.8, 0.0, random.exponential(0.2, rows)).tolist(),
        "seats": [None if value == 0 else int(value) for value in random.integers(0, 5, rows)],
        "constant": [3.0] * rows,
        "nothing": [None] * rows,
        "carrier": [None if value == 0 else f"c{value}" for value in random.geometric(0.2, rows) - 1],
        "odd name`s": random.random(rows).__gt__(0.5).tolist(),
    }


@pytest.fixture(scope="module")
def frame(spark: SparkSession, data: dict[str, list[Any]]) -> DataFrame:
    made = spark.createDataFrame(list(zip(*data.values(), strict=True)), SCHEMA).repartition(3).cache()
    made.count()
    return made


def as_spark_says(data: dict[str, list[Any]]) -> dict[str, Any]:
    """The same values as the in-memory profile reads them: booleans as Spark casts them to text."""
    text = [str(value).lower() for value in data["odd name`s"]]
    numbers = {
        name: [math.nan if value is None else value for value in data[name]]
        for name in ("amount", "rain", "seats", "constant", "nothing")
    }
    return {**numbers, "carrier": data["carrier"], "odd name`s": text}


def same(found: Profile, expected: Profile) -> None:
    assert found.rows == expected.rows
    for name, column in expected.columns.items():
        other = found.columns[name]
        for field in (
            "kind",
            "rows",
            "nulls",
            "counts",
            "edges",
            "categories",
            "unlisted",
            "minimum",
            "maximum",
            "sketch",
        ):
            assert getattr(other, field) == getattr(column, field), (name, field)
        for field in ("mean", "variance"):
            one, two = getattr(other, field), getattr(column, field)
            assert one is two is None or one == pytest.approx(two, rel=1e-9, abs=1e-9), (name, field)


def jobs_of(spark: SparkSession, do: Callable[[], object]) -> int:
    """How many Spark jobs ``do`` ran."""
    group = f"counted-{uuid4()}"
    spark.sparkContext.setJobGroup(group, group)
    try:
        do()
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))


def whole(frame: DataFrame, columns: list[ProfiledColumn]) -> Profile:
    """All nights of the frame together, in bins that fit them."""
    return merge_all(list(profile_nights(frame, columns, fix_bins(frame, columns)).values()))


def test_counts_equal_numpys_in_the_same_bins(frame: DataFrame, data: dict[str, list[Any]]) -> None:
    reference = whole(frame, COLUMNS)
    assert reference.rows == 3000
    same(reference, profile_arrays(as_spark_says(data), COLUMNS, reference))


def test_bins_are_fixed_well(frame: DataFrame) -> None:
    columns = whole(frame, COLUMNS).columns
    inner = columns["amount"].counts[1:-1]
    assert len(inner) == 10
    assert all(abs(count - 299.7) < 15 for count in inner)
    assert columns["amount"].nulls == 3
    assert max(columns["rain"].counts) == columns["rain"].counts[1] > 2000
    assert columns["seats"].edges[:-1] == (1.0, 2.0, 3.0, 4.0)
    assert columns["constant"].counts == (0, 3000, 0)
    assert (columns["nothing"].edges, columns["nothing"].nulls) == ((), 3000)
    assert columns["carrier"].categories[0] == "c1"
    assert sorted(columns["odd name`s"].categories) == ["false", "true"]


def test_nights_add_up_to_the_whole(frame: DataFrame) -> None:
    reference = whole(frame, COLUMNS)
    nights = profile_nights(frame, COLUMNS, reference)
    assert list(nights) == NIGHTS
    assert [night.rows for night in nights.values()] == [1000, 1000, 1000]
    same(merge_all(list(nights.values())), reference)


def test_counting_is_one_job(spark: SparkSession, frame: DataFrame) -> None:
    reference = fix_bins(frame, COLUMNS)
    assert jobs_of(spark, lambda: profile_nights(frame, COLUMNS, reference)) == 1


def test_no_rows_is_no_profile(frame: DataFrame) -> None:
    no_rows = frame.where("false")
    assert fix_bins(no_rows, COLUMNS).columns["amount"].edges == ()
    assert profile_nights(no_rows, COLUMNS, fix_bins(frame, COLUMNS)) == {}


def test_a_missing_column_is_an_error(frame: DataFrame) -> None:
    reference = fix_bins(frame, COLUMNS[:1])
    with pytest.raises(GateError, match="lack gone"):
        profile_nights(frame, [ProfiledColumn("gone", "numeric")], reference)
    with pytest.raises(GateError, match="does not hold rain"):
        profile_nights(frame, COLUMNS[:2], reference)
    with pytest.raises(GateError, match="does not hold amount"):
        profile_nights(frame, [ProfiledColumn("amount", "categorical")], reference)
    with pytest.raises(GateError, match="no column to profile"):
        profile_nights(frame, [], reference)


TABLE = TableSchema(
    name="features/things",
    comment="Of this test.",
    columns=(
        DS,
        *(Column(name, "double", ".") for name in ("amount", "rain", "constant", "nothing")),
        Column("seats", "int", "."),
        Column("carrier", "string", "."),
        Column("late", "boolean", "."),
    ),
)
TABLE_COLUMNS = [
    ProfiledColumn(column.name, "categorical" if column.type in ("string", "boolean") else "numeric")
    for column in TABLE.columns[1:]
]


def fill(lake: str, data: dict[str, list[Any]]) -> int:
    """The rows as a table, each night in files of 100 rows; its version."""
    columns = {**data, "late": data["odd name`s"]}
    schema = delta.arrow_schema(TABLE)
    rows = pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema)
    written = []
    for night in NIGHTS:
        of_night = rows.filter(pa.array([day == night for day in data["ds"]]))
        for first in range(0, of_night.num_rows, 100):
            batches = iter(of_night.slice(first, 100).to_batches())
            written += write_files(batches, f"{lake}/{TABLE.name}", schema, ("ds",))
    return Lake(lake).table(TABLE).commit(written, NIGHTS, run_id="test")


def test_a_table_read_by_the_tasks_gives_what_its_frame_gives(
    spark: SparkSession, lake: str, data: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "UNIT_BYTES", 10_000)  # several units a night
    version = fill(lake, data)
    frame = spark.read.format("delta").load(f"{lake}/{TABLE.name}")
    reference = whole(frame, TABLE_COLUMNS)
    expected = profile_nights(frame, TABLE_COLUMNS, reference)
    found = profile_table(spark, Lake(lake), TABLE.name, TABLE_COLUMNS, reference, nights=NIGHTS)
    assert list(found) == NIGHTS
    for night, profile in expected.items():
        same(found[night], profile)
    emptied = Lake(lake).table(TABLE).commit([], [NIGHTS[1]], run_id="test")
    assert emptied > version
    now = profile_table(spark, Lake(lake), TABLE.name, TABLE_COLUMNS, reference, nights=NIGHTS[1:])
    then = profile_table(spark, Lake(lake), TABLE.name, TABLE_COLUMNS, reference, nights=NIGHTS[1:], version=version)
    assert now == {NIGHTS[2]: found[NIGHTS[2]]}
    assert then == {night: found[night] for night in NIGHTS[1:]}
    assert profile_table(spark, Lake(lake), TABLE.name, TABLE_COLUMNS, reference, nights=[NIGHTS[1]]) == {}


def test_a_table_profiled_is_one_job(spark: SparkSession, lake: str, data: dict[str, list[Any]]) -> None:
    fill(lake, data)
    reference = profile_arrays(as_spark_says(data), COLUMNS[:3])

    def profile() -> object:
        return profile_table(spark, Lake(lake), TABLE.name, COLUMNS[:3], reference, nights=NIGHTS)

    assert jobs_of(spark, profile) == 1


def test_a_table_that_lacks_a_column_is_an_error(spark: SparkSession, lake: str, data: dict[str, list[Any]]) -> None:
    fill(lake, data)
    reference = profile_arrays(as_spark_says(data), COLUMNS)
    with pytest.raises(GateError, match="lack odd name`s"):
        profile_table(spark, Lake(lake), TABLE.name, COLUMNS, reference, nights=NIGHTS)
    with pytest.raises(GateError, match="does not hold late"):
        profile_table(spark, Lake(lake), TABLE.name, TABLE_COLUMNS, reference, nights=NIGHTS)


def test_a_reference_knows_how_its_nights_vary_and_keeps_rows_of_them(spark: SparkSession, lake: str) -> None:
    """Weather has one value per night, which identifies the night: the classifier does not read it."""
    nights = [date(2013, 4, day) for day in range(1, 16)]
    table = replace(TABLE, columns=(DS, *(Column(name, "double", "One of many.") for name in ("id", "weather", "own"))))
    schema = delta.arrow_schema(table)
    written = []
    for i, night in enumerate(nights):
        own = np.random.default_rng(i).normal(size=200)
        rows = {"ds": [night] * 200, "id": np.arange(200.0), "weather": np.full(200, float(i)), "own": own}
        batches = iter(pa.table(rows, schema).to_batches())
        written += write_files(batches, f"{lake}/{table.name}", schema, ("ds",))
    Lake(lake).table(table).commit(written, nights, run_id="test")
    columns = [ProfiledColumn(name, "numeric") for name in ("weather", "own")]

    def reference(watched: list[str]) -> Profile:
        return profile_reference(spark, Lake(lake), table.name, columns, nights, ("id", "ds"), watched=watched)

    made = reference(["weather", "own"])
    assert made.rows == 3000
    assert made.variation["weather"].psi > 2 > 0.1 > made.variation["own"].psi
    assert made.variation["weather"].design_effect > 100 > 2 > made.variation["own"].design_effect
    assert made.usual_auc is not None
    assert 0.5 < made.usual_auc < 0.65
    assert made.sample is not None
    assert (made.sample.rows, list(made.sample.columns)) == (3000, ["own"])
    assert made.usual_auc == reference(["own"]).usual_auc
    shared = reference(["weather"])
    assert (shared.sample, shared.usual_auc) == (Sample({}), None)
    assert Profile.from_json(shared.to_json()) == shared
    assert Profile.from_json(made.to_json()) == made
    assert reference(["weather", "own"]).to_json() == made.to_json()


def test_a_sample_does_not_depend_on_how_rows_lie_in_files(
    spark: SparkSession, lake: str, data: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake, data)
    columns = [ProfiledColumn("amount", "numeric"), ProfiledColumn("carrier", "categorical")]
    bins = profile_arrays(as_spark_says(data), columns)

    def sampled() -> Mapping[date, Sample]:
        asked = {NIGHTS[0]: 50, NIGHTS[1]: 0}
        profiles, samples = profile_and_sample(spark, Lake(lake), TABLE.name, columns, bins, asked, ("amount", "ds"))
        assert [profile.rows for profile in profiles.values()] == [1000, 1000]
        return samples

    before = sampled()
    assert list(before) == [NIGHTS[0]]
    assert before[NIGHTS[0]].rows == 50
    monkeypatch.setattr(profiling, "UNIT_BYTES", 10_000)
    monkeypatch.setattr(profiling, "BATCH_ROWS", 7)
    assert sampled() == before
    reversed_rows = {name: values[::-1] for name, values in data.items()}
    fill(lake, reversed_rows)
    assert sampled() == before
