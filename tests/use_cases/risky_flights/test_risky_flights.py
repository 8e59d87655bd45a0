"""Flights to watch: grades of the recorded delays, on the features of ``flight_delay``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import use_cases.risky_flights
from nightjar.protocol.nights import Nights
from use_cases.flight_delay.sources import TIMEZONE
from use_cases.flight_delay.use_case import USE_CASE as FLIGHT_DELAY
from use_cases.risky_flights.landing import land
from use_cases.risky_flights.use_case import GRADES, RAW, USE_CASE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NIGHT = Nights(first=date(2013, 3, 8), last=date(2013, 3, 8), timezone=TIMEZONE)


def test_it_is_small_and_reads_tables_of_its_own() -> None:
    folder = Path(use_cases.risky_flights.__file__).parent
    assert sum(len(path.read_text().splitlines()) for path in folder.glob("*.py")) <= 150
    own, flights = ({source.table.name for source in case.data.sources} for case in (USE_CASE, FLIGHT_DELAY))
    assert own == {name.replace("raw/", f"raw/{RAW}") for name in flights}
    assert USE_CASE.key[0] == "origin"
    assert sorted(USE_CASE.key) == sorted(FLIGHT_DELAY.key)


@pytest.mark.spark
def test_a_label_counts_the_limits_that_the_delay_exceeds(spark: SparkSession, tmp_path: Path) -> None:
    from use_cases.risky_flights.features import build_labels

    land(NIGHT, str(tmp_path))
    tables, recorded = {}, pd.DataFrame()
    for source in USE_CASE.data.sources:
        if source.name.removeprefix(RAW) in ("flights", "airports"):
            frame = pd.read_csv(tmp_path / USE_CASE.name / str(NIGHT.first) / source.file, dtype=str)
            frame = frame.assign(ds=str(NIGHT.first))
            recorded = frame if source.name == f"{RAW}flights" else recorded
            types = {column.name: column.type for column in source.table.columns}
            rows = spark.createDataFrame(frame.where(frame.notna(), None))
            tables[source.name] = rows.select(*(rows[name].cast(types[name]).alias(name) for name in frame.columns))
    labels = build_labels(tables, NIGHT).toPandas()
    delay = recorded["arr_delay"].astype(float)
    expected = sum((delay > minutes).astype(float) for minutes in GRADES)[delay.notna()]
    assert labels["label"].dropna().value_counts().to_dict() == expected.value_counts().to_dict()
    assert set(expected) == {0.0, 1.0, 2.0, 3.0}
    assert labels["label"].isna().sum() == delay.isna().sum() > 0
