"""Weather features on literal observations."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
COLUMNS = "ds date, origin string, time_hour string, temp double, dewp double, wind_speed double, precip double, "
COLUMNS += "pressure double, visib double"
NIGHT = date(2013, 3, 10)  # 05:00 UTC to 04:00 UTC: 23 hours


def features(spark: SparkSession, *observations: tuple[Any, ...]) -> dict[str, dict[str, Any]]:
    from use_cases.flight_delay.weather import weather_features

    rows = spark.createDataFrame([(NIGHT, *observation) for observation in observations], COLUMNS)
    frame = weather_features(rows.withColumn("time_hour", rows["time_hour"].cast("timestamp")))
    return {row["origin"]: row.asDict() for row in frame.collect()}


def test_last_values_and_the_last_six_hours(spark: SparkSession) -> None:
    row = features(
        spark,
        ("JFK", "2013-03-10T20:00:00Z", 50.0, 40.0, 30.0, 0.5, 1000.0, 1.0),  # 8 hours before midnight
        ("JFK", "2013-03-10T22:00:00Z", 49.0, 39.0, 10.0, 0.1, 1004.0, 9.0),  # 6
        ("JFK", "2013-03-11T03:00:00Z", 48.0, None, 20.5, 0.2, None, 8.0),  # 1
    )["JFK"]
    assert (row["temp_last"], row["dewp_last"], row["visibility_last"]) == (48.0, 39.0, 8.0)
    assert row["pressure_last"] == 1004.0
    assert row["pressure_change"] == 4.0
    assert row["pressure_missing"] == pytest.approx(1 / 3)
    assert row["precip_recent"] == pytest.approx(0.3)
    assert row["precip_day"] == pytest.approx(0.8)
    assert row["wind_recent"] == 15.25
    assert row["visibility_low"] == 8.0


def test_hours_of_another_day_are_left_out(spark: SparkSession) -> None:
    storm = (20.0, 20.0, 90.0, 2.0, 950.0, 0.0)
    found = features(
        spark,
        ("EWR", "2013-03-10T04:00:00Z", *storm),  # 23:00 of the day before
        ("EWR", "2013-03-11T03:00:00Z", 48.0, 40.0, 5.0, 0.0, 1010.0, 10.0),
        ("EWR", "2013-03-11T04:00:00Z", *storm),  # midnight: the day after
        ("LGA", "2013-03-11T04:00:00Z", *storm),
    )
    assert set(found) == {"EWR"}
    assert found["EWR"]["precip_day"] == 0.0
    assert found["EWR"]["pressure_last"] == 1010.0
    assert found["EWR"]["pressure_change"] is None


def test_origins_are_apart_and_nothing_observed_is_null(spark: SparkSession) -> None:
    found = features(
        spark,
        ("JFK", "2013-03-11T00:00:00Z", 1.0, 1.0, 1.0, 0.1, 1001.0, 1.0),
        ("LGA", "2013-03-11T00:00:00Z", 2.0, 2.0, None, 0.2, None, 2.0),
    )
    assert (found["JFK"]["temp_last"], found["LGA"]["temp_last"]) == (1.0, 2.0)
    assert found["LGA"]["wind_recent"] is None
    assert found["LGA"]["pressure_last"] is None
    assert found["LGA"]["pressure_missing"] == 1.0
