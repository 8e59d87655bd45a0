"""build_features on two real nights that landed and were ingested: whole nights, accounted for, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.declarations import with_fields

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.lake.rows import read_nights
from nightjar.protocol.errors import RowCountError, SourceError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights
from use_cases.flight_delay import landing
from use_cases.flight_delay.use_case import USE_CASE

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark
FIRST, SECOND, MISSING = date(2013, 3, 9), date(2013, 3, 10), date(2013, 3, 11)
RECORD = with_fields(USE_CASE, schedule={"first_night": FIRST})
"""The use case as if its record began with the first of these nights."""
FEATURES, LABELS = USE_CASE.feature_table.name, USE_CASE.label_table.name


def spec(lake: str, program: str, first: date, last: date) -> JobSpec:
    return JobSpec(
        program=program,
        use_case=USE_CASE.name,
        first_night=first,
        last_night=last,
        dag_id="flight_delay_nightly",
        run_id="manual__2013-03-11T06:00:00+00:00",
        task_id=program,
        lake=lake,
    )


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A lake with both nights' features and labels, and the result that says so."""
    from nightjar_spark.build_features import build
    from nightjar_spark.ingest import ingest

    root: Path = tmp_path_factory.mktemp("lake")
    landing.land(Nights(first=FIRST, last=SECOND, timezone=USE_CASE.schedule.timezone), str(root / "landing"))
    lake = str(root / "lake")
    ingest(spark, spec(lake, "ingest", FIRST, SECOND), USE_CASE, str(root / "landing"))
    return lake, build(spark, spec(lake, "build_features", FIRST, SECOND), RECORD)


def versions(lake: str) -> dict[str, int]:
    return {name: int(Lake(lake).open_table(name).version()) for name in (FEATURES, LABELS)}


def content(lake: str, name: str, night: date) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_nights(Lake(lake).open_table(name), [night]).to_pylist()
    return sorted(rows, key=lambda row: tuple(row[column] for column in USE_CASE.key))


def test_every_row_is_accounted_for(built: tuple[str, Any]) -> None:
    lake, result = built
    scheduled, flown = {FIRST: 908, SECOND: 980}, {FIRST: 765, SECOND: 908}
    assert {night: len(content(lake, FEATURES, night)) for night in scheduled} == scheduled
    assert {night: len(content(lake, LABELS, night)) for night in flown} == flown
    assert result.rows_in == result.rows_out == sum(scheduled.values()) + sum(flown.values())
    assert result.outputs == versions(lake)
    assert set(result.inputs) == {source.table.name for source in USE_CASE.data.sources}
    assert set(result.seconds) == {"read", "features", "labels", "commit"}


def test_features_of_a_night_meet_the_labels_of_the_next(built: tuple[str, Any]) -> None:
    lake, _ = built

    def keys(name: str, night: date) -> set[tuple[Any, ...]]:
        return {tuple(row[column] for column in USE_CASE.key) for row in content(lake, name, night)}

    assert keys(FEATURES, FIRST) == keys(LABELS, SECOND)
    assert len(keys(FEATURES, FIRST)) == 908
    assert {row["flight_date"] for row in content(lake, FEATURES, FIRST)} == {FIRST + timedelta(days=1)}
    assert {row["flight_date"] for row in content(lake, LABELS, SECOND)} == {SECOND}


def test_a_night_alone_is_to_the_byte_the_night_that_a_range_built(spark: SparkSession, built: tuple[str, Any]) -> None:
    from nightjar_spark.build_features import build

    lake, _ = built
    before = {(name, night): content(lake, name, night) for name in (FEATURES, LABELS) for night in (FIRST, SECOND)}
    at = versions(lake)
    rerun = build(spark, spec(lake, "build_features", SECOND, SECOND), RECORD)
    assert rerun.outputs == versions(lake) == at  # the same bytes: no commit to make
    after = {(name, night): content(lake, name, night) for name, night in before}
    assert repr(after) == repr(before)  # by repr, as NaN is not equal to itself


def test_a_night_that_was_not_ingested_is_refused(spark: SparkSession, built: tuple[str, Any]) -> None:
    from nightjar_spark.build_features import build

    lake, _ = built
    at = versions(lake)
    with pytest.raises(SourceError, match=r"raw/schedule has no rows for 2013-03-11 \| .* how many: 1 "):
        build(spark, spec(lake, "build_features", FIRST, MISSING), RECORD)
    assert versions(lake) == at


def test_a_night_without_the_history_before_it_is_refused(spark: SparkSession, built: tuple[str, Any]) -> None:
    from nightjar_spark.build_features import build

    lake, _ = built
    at = versions(lake)
    message = r"30 of the 30 nights in the history of 2013-03-09 are missing: 2013-02-07, .* do: run the"
    with pytest.raises(SourceError, match=message):
        build(spark, spec(lake, "build_features", FIRST, FIRST), USE_CASE)
    assert versions(lake) == at


def test_one_lost_night_is_logged_and_two_of_ten_stop(lake: str, caplog: pytest.LogCaptureFixture) -> None:
    from nightjar_spark.feature_inputs import _missing_history

    schema = TableSchema(name="raw/flights", comment="f", columns=(DS, Column("k", "int", "Key.")), key=("k",))
    arrow = delta.arrow_schema(schema)

    def keep(days: list[date]) -> DeltaTable:
        rows = pa.Table.from_pylist([{"ds": day, "k": 1} for day in days], schema=arrow)
        written = write_files(iter(rows.to_batches()), Lake(lake).table(schema).uri, arrow, ("ds",))
        Lake(lake).table(schema).commit(written, all_days, run_id="r")
        return Lake(lake).table(schema).open()

    all_days = [FIRST + timedelta(days=i) for i in range(10)]
    use_case = with_fields(USE_CASE, data={"history_nights": 10})
    after = all_days[-1] + timedelta(days=1)
    night = Nights(first=after, last=after, timezone=USE_CASE.schedule.timezone)
    assert _missing_history(keep(all_days), use_case, night) == []
    assert _missing_history(keep(all_days[1:]), use_case, night) == [FIRST]
    assert "the history lacks 1 of 10 nights: 2013-03-09" in caplog.text
    with pytest.raises(SourceError, match=r"2 of the 10 nights in the history of 2013-03-19 are missing"):
        _missing_history(keep(all_days[2:]), use_case, night)


@pytest.mark.parametrize("table", ["build_features", "build_labels"])
def test_a_lost_row_publishes_neither_table(
    spark: SparkSession, built: tuple[str, Any], monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    from nightjar_spark.build_features import build
    from use_cases.flight_delay import features

    whole = getattr(features, table)

    def one_short(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
        frame: DataFrame = whole(tables, nights)
        return frame.where("NOT (carrier = 'UA' AND flight = 15 AND origin = 'EWR')")

    monkeypatch.setattr(features, table, one_short)
    lake, _ = built
    at = versions(lake)
    with pytest.raises(RowCountError, match="how many: 1 "):
        build(spark, spec(lake, "build_features", FIRST, FIRST), RECORD)
    assert versions(lake) == at
