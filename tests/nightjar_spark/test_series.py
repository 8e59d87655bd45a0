"""Series of a forecast: checks, statistical models, steps, labels, and lags that never look past the night."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from statsforecast.models import AutoETS, SeasonalNaive
from tests.declarations import with_fields

from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.tables import Column
from nightjar.declaration.target import Target
from nightjar.declaration.use_case import load_use_case
from nightjar.features.horizon import recent_lags, seasonal_lags
from nightjar.protocol.errors import ConfigurationError, SourceError
from nightjar.protocol.nights import Nights
from nightjar_spark.feature_inputs import FeatureInputs
from nightjar_spark.series import REPLACED, series_tables
from nightjar_spark.series_models import forecast_series

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIRST, DAYS, HORIZON, SEASON = date(2025, 3, 1), 40, 9, 7
PROBLEM = Forecast(
    unit="orders", horizon=HORIZON, season=SEASON, quantiles=(0.1, 0.5, 0.8), hierarchy=("region",), nonnegative=True
)
OWN = (Feature("season_lag_1", "numeric", "Same day of last week."), Feature("lag_0", "numeric", "The night."))
USE_CASE = with_fields(
    load_use_case("departures"),
    name="orders",
    schedule={"first_night": FIRST, "last_night": None, "timezone": "America/New_York"},
    data={"history_nights": 30},
    entity=Entity(
        key=(Column("shop", "string", "Shop.", nullable=False),),
        carried=(Column("region", "string", "Region.", nullable=False),),
    ),
    features=FeatureSet(columns=(*PROBLEM.series_features, *OWN)),
    problem=PROBLEM,
    target=Target(label="Orders.", prediction="Median of the orders.", label_horizon_nights=HORIZON),
    monitoring={"performance": {"slices": ()}},
)
NIGHT = FIRST + timedelta(days=30)
NIGHTS = Nights(first=NIGHT, last=NIGHT + timedelta(days=1), timezone="America/New_York")
Row = tuple[date, str, str, float]


def rows(*, seed: int = 0, until: int = DAYS) -> list[Row]:
    """Orders of three shops; ``new`` opens ten days before the night."""
    rng = np.random.default_rng(seed)
    shops = {"a": ("north", 0), "b": ("north", 0), "new": ("south", 20)}
    return [
        (FIRST + timedelta(days=day), shop, region, float(rng.poisson(5 + 3 * (day % 7))))
        for shop, (region, opened) in shops.items()
        for day in range(opened, until)
    ]


def frame(spark: SparkSession, made: list[Row]) -> DataFrame:
    return spark.createDataFrame(made, "ds date, shop string, region string, value double")


def module_of(series: DataFrame) -> Any:
    """A use case's module ``features``."""

    def build_features(tables: Mapping[str, DataFrame], nights: Nights) -> DataFrame:
        weekly = seasonal_lags(tables["steps"], tables["series"], by=["shop"], season=SEASON, count=1)
        return recent_lags(weekly, tables["series"], by=["shop"], count=1).select(
            "ds", "shop", "step", "season_lag_1", "lag_0"
        )

    return SimpleNamespace(build_series=lambda tables, nights: series, build_features=build_features)


def build(spark: SparkSession, made: list[Row]) -> Any:
    inputs = FeatureInputs(tables={}, versions={}, rows={}, missing=[])
    return series_tables(module_of(frame(spark, made)), inputs, USE_CASE, NIGHTS)


def collected(frame: DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by night, shop and step."""
    return {(row["ds"], row["shop"], row["step"]): row.asDict() for row in frame.collect()}


def values_of(made: list[Row], shop: str, until: date, days: int = 31) -> np.ndarray:
    known = [value for ds, name, _, value in made if name == shop and ds <= until]
    return np.array(known[-days:])


@pytest.mark.spark
def test_each_series_has_every_step_with_the_forecasts_of_statsforecast(spark: SparkSession) -> None:
    made = rows()
    built = build(spark, made)
    found = collected(built.features)
    assert len(found) == built.feature_rows == 3 * HORIZON * len(NIGHTS)
    for night in NIGHTS:
        history = values_of(made, "b", night)
        naive = SeasonalNaive(season_length=SEASON).forecast(y=history, h=HORIZON, level=[60, 80])
        ets = AutoETS(season_length=SEASON).forecast(y=history, h=HORIZON, level=[60, 80])
        for step in range(1, HORIZON + 1):
            row = found[night, "b", step]
            assert row["target_date"] == night + timedelta(days=step)
            assert row["region"] == "north"
            for name, model in (("seasonal_naive", naive), ("ets", ets)):
                expected = [model["lo-80"][step - 1], model["mean"][step - 1], model["hi-60"][step - 1]]
                columns = [row[f"{name}_{quantile}"] for quantile in ("q10", "q50", "q80")]
                assert columns == pytest.approx(np.maximum(expected, 0), rel=1e-9)
            assert row["series_scale"] == pytest.approx(np.abs(history[7:] - history[:-7]).mean(), rel=1e-12)


@pytest.mark.spark
def test_a_series_with_too_little_history_gets_the_naive_forecast_and_is_counted(spark: SparkSession) -> None:
    made = rows()
    built = build(spark, made)
    found = collected(built.features)
    short = found[NIGHT, "new", 2]  # 11 days
    assert [short[f"ets_{q}"] for q in ("q10", "q50", "q80")] == [
        short[f"seasonal_naive_{q}"] for q in ("q10", "q50", "q80")
    ]
    assert built.metrics() == {REPLACED: len(NIGHTS)}


@pytest.mark.spark
def test_labels_are_the_values_of_the_days_that_were_forecast(spark: SparkSession) -> None:
    made = rows()
    built = build(spark, made)
    found = collected(built.labels)
    assert len(found) == built.label_rows
    by_day = {(ds, shop): value for ds, shop, _, value in made}
    for (ds, shop, step), row in found.items():
        day = ds - timedelta(days=HORIZON - step)
        assert row["label"] == by_day[day, shop]
        midnight = datetime.combine(day + timedelta(days=1), time.min, tzinfo=ZoneInfo("America/New_York"))
        assert row["known_at"] == midnight.astimezone(UTC).replace(tzinfo=None)
    assert {step for ds, shop, step in found if (ds, shop) == (NIGHT, "b")} == set(range(1, HORIZON + 1))


@pytest.mark.spark
def test_lags_never_look_past_the_night_for_any_step(spark: SparkSession) -> None:
    made = rows()
    later = [(ds, shop, region, value + (1000 if ds > NIGHTS.last else 0)) for ds, shop, region, value in made]
    first, second = (collected(build(spark, changed).features) for changed in (made, later))
    assert first == second
    by_day = {(ds, shop): value for ds, shop, _, value in made}
    for (ds, shop, step), row in first.items():
        day = ds + timedelta(days=step - SEASON * (-(-step // SEASON)))
        assert day <= ds
        assert row["season_lag_1"] == by_day.get((day, shop))
        assert row["lag_0"] == by_day[ds, shop]


@pytest.mark.spark
def test_lags_are_null_before_the_first_day_and_their_numbers_are_checked(spark: SparkSession) -> None:
    series = frame(spark, [(FIRST, "a", "north", 1.0), (FIRST + timedelta(days=1), "a", "north", 2.0)])
    steps = spark.createDataFrame([(FIRST + timedelta(days=1), "a", 1)], "ds date, shop string, step int")
    (row,) = recent_lags(steps, series, by=["shop"], count=3).collect()
    assert (row["lag_0"], row["lag_1"], row["lag_2"]) == (2.0, 1.0, None)
    with pytest.raises(ConfigurationError, match="'season': 0"):
        seasonal_lags(steps, series, by=["shop"], season=0, count=1)


DAY = NIGHT - timedelta(days=3)


@pytest.mark.spark
@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda made: [*made, (DAY, "a", "north", 1.0)], "1 of orders have two values of one day: shop=a",
            id="duplicate",
        ),
        pytest.param(
            lambda made: [row for row in made if row[:2] != (DAY, "b")], "days without a value: shop=b", id="gap"
        ),
        pytest.param(
            lambda made: [(*row[:3], -1.0) if row[:2] == (DAY, "a") else row for row in made],
            "values that are not finite and at least 0: shop=a", id="negative",
        ),
        pytest.param(
            lambda made: [(*row[:3], float("nan")) if row[:2] == (DAY, "a") else row for row in made],
            "values that are not finite", id="not a number",
        ),
        pytest.param(
            lambda made: [(*row[:2], "south", row[3]) if row[:2] == (DAY, "a") else row for row in made],
            "hierarchy, which does not add up: shop=a", id="hierarchy",
        ),
        pytest.param(
            lambda made: [row for row in made if row[0] < NIGHT], "2025-03-31, 2025-04-01 has no series",
            id="no series",
        ),
    ],
)  # fmt: skip
def test_a_faulty_series_is_refused_by_name(spark: SparkSession, change: Any, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        build(spark, change(rows()))
    assert message in caught.value.what
    assert caught.value.where == "build_series of orders"
    assert caught.value.how_many
    assert caught.value.fix


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.zeros(40), id="only zeros"),
        pytest.param(np.full(40, 7.0), id="constant"),
        pytest.param(np.array([3.0]), id="one day"),
        pytest.param(np.arange(8.0), id="little more than a season"),
        pytest.param(np.r_[np.zeros(39), 1e9], id="one event"),
    ],
)
def test_quantiles_of_odd_series_are_finite_ascending_and_not_negative(values: np.ndarray) -> None:
    found = forecast_series(values, PROBLEM)
    for quantiles in found.quantiles.values():
        assert quantiles.shape == (HORIZON, 3)
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles, axis=1) >= 0).all()
        assert quantiles.min() >= 0
