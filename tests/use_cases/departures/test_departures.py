"""Departures: series are complete, count flights that departed, and features read earlier weeks."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import use_cases.departures
from nightjar.protocol.nights import Nights
from use_cases.departures.landing import land
from use_cases.departures.use_case import FLIGHTS, HOURS, PROBLEM, USE_CASE
from use_cases.flight_delay.sources import ORIGINS, TIMEZONE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST, LAST = date(2013, 2, 1), date(2013, 2, 3)


def test_it_is_the_smallest_use_case_with_forecasts() -> None:
    folder = Path(use_cases.departures.__file__).parent
    assert sum(len(path.read_text().splitlines()) for path in folder.glob("*.py")) <= 150
    assert USE_CASE.target.label_horizon_nights == PROBLEM.horizon == 7


@pytest.mark.spark
def test_each_airport_hour_and_day_has_its_departures(spark: SparkSession, tmp_path: Path) -> None:
    from use_cases.departures.features import build_series

    nights = Nights(first=FIRST, last=LAST, timezone=TIMEZONE)
    land(nights, str(tmp_path))
    folder, columns = tmp_path / USE_CASE.name, ["origin", "sched_dep_time", "dep_time"]
    frames = [pd.read_csv(folder / str(night) / FLIGHTS.file, usecols=columns).assign(ds=night) for night in nights]
    flights = pd.concat(frames)
    rows = spark.createDataFrame(flights[["ds", *columns]]).na.replace(float("nan"), None)
    series = build_series({FLIGHTS.name: rows}, nights).toPandas()
    assert len(series) == 3 * len(ORIGINS) * len(HOURS)
    assert not series.duplicated(["ds", "origin", "hour"]).any()
    hours = flights["sched_dep_time"] // 100
    departed = flights[flights["dep_time"].notna() & hours.isin(HOURS)]
    assert series["value"].sum() == len(departed)
    one = series[(series["origin"] == "EWR") & (series["hour"] == 6)].set_index("ds")["value"]
    for night in (FIRST, FIRST + timedelta(days=1), LAST):
        of_night = frames[(night - FIRST).days]
        expected = of_night[
            (of_night["origin"] == "EWR") & (of_night["sched_dep_time"] // 100 == 6) & of_night["dep_time"].notna()
        ]
        assert one[night] == len(expected)
