"""A night's features are built and summarized as ``build_features`` would write them; the lake stays as it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from tests.landed_nights import NIGHTS, SHOP
from tests.nightjar_spark.shop_lake import FIRST, Shop

from nightjar.lake.lake import Lake
from nightjar.local import __main__ as cli
from nightjar.local import features
from nightjar.local.follow import RunFailedError
from nightjar.local.paths import Paths
from nightjar.protocol.errors import ConfigurationError, LakeError, RowCountError, SourceError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights
from use_cases.flight_delay.landing import land
from use_cases.flight_delay.use_case import USE_CASE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark
JANUARY = (date(2013, 1, 1), date(2013, 1, 2))


def amounts(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
    """The features of the small use case: a null and a NaN among its amounts."""
    from pyspark.sql import functions as F

    orders = tables["orders"].where(F.col("ds").between(nights.first, nights.last))
    odd = F.when(F.col("number") == 0, None).when(F.col("number") == 1, float("nan")).otherwise(F.col("amount"))
    return orders.withColumn("amount", odd)


@pytest.fixture
def features_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module ``features`` of the small use case."""
    module = ModuleType("use_cases.shop.features")
    module.build_features = amounts  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "use_cases.shop", ModuleType("use_cases.shop"))
    monkeypatch.setitem(sys.modules, "use_cases.shop.features", module)
    return module


def files_of(lake: str) -> set[Path]:
    return {path for path in Path(lake).rglob("*") if path.is_file()}


def test_a_night_is_summarized_and_nothing_is_written(shop: Shop, features_module: ModuleType) -> None:
    from nightjar_spark.preview_features import preview_features

    before = files_of(shop.lake)
    preview = preview_features(shop.spark, Lake(shop.lake), SHOP, FIRST)
    assert files_of(shop.lake) == before
    assert (preview.use_case, preview.night, preview.rows) == ("shop", FIRST, 8)
    columns = {column.name: column for column in preview.columns}
    assert list(columns) == list(SHOP.feature_table.column_names)
    amount = columns["amount"]
    assert (amount.type, amount.nulls, amount.distinct) == ("double", 2, None)
    assert (amount.minimum, amount.mean, amount.maximum) == (12.0, 14.5, 17.0)
    assert (columns["shop"].nulls, columns["shop"].distinct, columns["shop"].mean) == (0, 2, None)
    assert preview.examples[0] == {"ds": FIRST, "shop": "N", "number": 0, "amount": None}
    text = preview.text()
    assert text.startswith("shop, night 2013-04-01: 8 rows, 4 columns, ")
    assert "25.0%  12   14.5  17" in text


def test_features_without_a_row_per_entity_are_an_error(shop: Shop, features_module: ModuleType) -> None:
    from nightjar_spark.preview_features import preview_features

    def one_short(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
        return amounts(tables, nights).where("number > 0")

    features_module.build_features = one_short  # type: ignore[attr-defined]
    with pytest.raises(RowCountError, match="features/shop would have 7 rows, its source has 8"):
        preview_features(shop.spark, Lake(shop.lake), SHOP, FIRST)


def test_a_night_that_was_not_ingested_is_an_error(shop: Shop, features_module: ModuleType, tmp_path: Path) -> None:
    from nightjar_spark.preview_features import preview_features

    with pytest.raises(SourceError, match="raw/orders has no rows for 2013-05-01"):
        preview_features(shop.spark, Lake(shop.lake), SHOP, date(2013, 5, 1))
    with pytest.raises(LakeError, match="raw/orders"):
        preview_features(shop.spark, Lake(str(tmp_path / "empty")), SHOP, FIRST)


@pytest.fixture(scope="module")
def flights(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """The checkout, with a lake of two nights of flights."""
    from nightjar_spark.ingest import ingest

    paths = Paths(Paths.here().root, tmp_path_factory.mktemp("features") / "var")
    landing = paths.lake / "landing"
    land(Nights(first=JANUARY[0], last=JANUARY[1], timezone=USE_CASE.schedule.timezone), str(landing))
    spec = JobSpec(
        program="ingest", use_case=USE_CASE.name, first_night=JANUARY[0], last_night=JANUARY[1], dag_id="d", run_id="r",
        task_id="ingest", lake=str(paths.lake),
    )  # fmt: skip
    ingest(spark, spec, USE_CASE, str(landing))
    return paths


def test_the_command_prints_the_night(
    flights: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_end_with_make", lambda _: None)
    monkeypatch.setattr(Paths, "here", lambda: flights)
    before = files_of(str(flights.lake))
    assert cli.main(["features"], {"DATE": "2013-01-02"}) == 0
    printed = capsys.readouterr().out
    assert "flight_delay, night 2013-01-02: 914 rows, 80 columns, " in printed
    assert "all_late_rate_28d" in printed
    assert files_of(str(flights.lake)) == before


def test_the_command_says_why_the_features_could_not_be_built(flights: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "print('no such column'); raise SystemExit(1)"]
    monkeypatch.setattr(features, "_command", lambda *_: failing)
    with pytest.raises(RunFailedError, match=r"(?s)no such column.*features\.log"):
        features.preview(flights, USE_CASE, "2013-01-02")


@pytest.mark.parametrize(
    ("day", "message"),
    [
        ("2013-06-01", "raw/flights has no rows for 2013-06-01 .*make night DATE=2013-06-01 USE_CASE=flight_delay"),
        ("2012-12-31", "hold the nights 2013-01-01 to 2013-12-30"),
        ("`touch x`", "are not dates"),
    ],
)
def test_a_night_without_rows_is_named_before_spark_starts(flights: Paths, day: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        features.preview(flights, USE_CASE, day)


def test_a_lake_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the lake has no table yet"):
        features.preview(Paths(Paths.here().root, tmp_path), USE_CASE, "2013-01-02")


class _NoSession:
    def stop(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SourceError("no rows", where="raw/x", fix="land it"), "no rows | where: raw/x | how many: 1 | do: land it\n"),
        (KeyError("carier"), "KeyError: 'carier' | where: "),
    ],
)
def test_the_program_prints_an_error_in_one_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nightjar_spark import preview_features

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(preview_features, "build_session", lambda _: _NoSession())
    monkeypatch.setattr(preview_features, "preview_features", fail)
    assert preview_features.main(["--lake", "x", "--use-case", "flight_delay", "--night", str(NIGHTS[0])]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(line)
    assert printed.count("\n") == 1
