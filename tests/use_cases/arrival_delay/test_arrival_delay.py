"""Arrival delays: labels are the recorded minutes, and agree with the yes/no labels of the same flights."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from nightjar.protocol.nights import Nights
from use_cases.arrival_delay.landing import land
from use_cases.arrival_delay.use_case import RAW, USE_CASE
from use_cases.flight_delay.columns import LATE_MINUTES
from use_cases.flight_delay.sources import TIMEZONE
from use_cases.flight_delay.use_case import USE_CASE as FLIGHT_DELAY

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NIGHT = Nights(first=date(2013, 3, 9), last=date(2013, 3, 9), timezone=TIMEZONE)


def test_it_reads_tables_of_its_own_and_the_same_features() -> None:
    own, flights = ({source.table.name for source in case.data.sources} for case in (USE_CASE, FLIGHT_DELAY))
    assert own == {name.replace("raw/", f"raw/{RAW}") for name in flights}
    assert USE_CASE.features == FLIGHT_DELAY.features
    assert USE_CASE.problem.cost is not None
    assert USE_CASE.problem.cost.quantile in USE_CASE.problem.quantiles


@pytest.mark.spark
def test_labels_are_the_minutes_of_the_flights_that_arrived(spark: SparkSession, tmp_path: Path) -> None:
    from use_cases.arrival_delay.features import build_labels
    from use_cases.flight_delay import features as flights

    land(NIGHT, str(tmp_path))
    tables, recorded = {}, pd.DataFrame()
    for source in USE_CASE.data.sources:
        if source.name.removeprefix(RAW) not in ("flights", "airports"):
            continue
        frame = pd.read_csv(tmp_path / USE_CASE.name / str(NIGHT.first) / source.file, dtype=str).assign(
            ds=str(NIGHT.first)
        )
        recorded = frame if source.name == f"{RAW}flights" else recorded
        types = {column.name: column.type for column in source.table.columns}
        rows = spark.createDataFrame(frame.where(frame.notna(), None))
        tables[source.name] = rows.select(*(rows[name].cast(types[name]).alias(name) for name in frame.columns))
    key = ["carrier", "flight", "origin"]
    minutes = build_labels(tables, NIGHT).toPandas().sort_values(key)
    binary = flights.build_labels({name.removeprefix(RAW): table for name, table in tables.items()}, NIGHT)
    late = binary.toPandas().sort_values(key)
    assert list(minutes.columns) == list(USE_CASE.label_table.column_names)
    assert len(minutes) == len(recorded) == 765
    assert minutes["label"].sum() == recorded["arr_delay"].astype(float).sum()
    assert minutes["label"].isna().sum() == recorded["arr_delay"].isna().sum() > 0
    assert (
        (minutes["label"] > LATE_MINUTES)[minutes["label"].notna()].to_numpy()
        == (late["label"][late["label"].notna()] == 1).to_numpy()
    ).all()
