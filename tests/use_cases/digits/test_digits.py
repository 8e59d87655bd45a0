"""Digits: what lands each night, and that a label is of the scan of the day before."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nightjar.protocol.errors import SourceError
from nightjar.protocol.nights import Nights
from use_cases.digits.landing import SCANS_A_NIGHT, land
from use_cases.digits.use_case import CLASSES, PIXELS, READINGS, SCANS, USE_CASE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST = USE_CASE.schedule.first_night


def _land(folder: Path, first: date, last: date) -> int:
    return land(Nights(first=first, last=last, timezone="UTC"), str(folder))


def _rows(folder: Path, night: date, file: str) -> list[dict[str, str]]:
    with (folder / USE_CASE.name / str(night) / file).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_each_scan_of_the_record_lands_once_and_is_read_the_night_after(tmp_path: Path) -> None:
    last = USE_CASE.schedule.last_night
    assert last is not None
    nights = (last - FIRST).days + 1
    assert _land(tmp_path, FIRST, last) == 2 * nights * SCANS_A_NIGHT
    scanned, read = [], []
    for number in range(nights):
        night = FIRST + timedelta(days=number)
        scanned.append([row["scan_id"] for row in _rows(tmp_path, night, SCANS.file)])
        read.append([row["scan_id"] for row in _rows(tmp_path, night, READINGS.file)])
    assert read[1:] == scanned[:-1]
    ids = [scan for night in scanned for scan in night]
    assert len(set(ids)) == len(ids) == nights * SCANS_A_NIGHT


def test_a_scan_holds_ink_and_a_reading_a_declared_class(tmp_path: Path) -> None:
    _land(tmp_path, FIRST, FIRST)
    scans, readings = _rows(tmp_path, FIRST, SCANS.file), _rows(tmp_path, FIRST, READINGS.file)
    assert all(0 <= float(row[name]) <= 16 for row in scans for name in PIXELS)
    assert {row["digit"] for row in readings} <= set(CLASSES)
    assert len({row["digit"] for row in readings}) > 5


def test_a_night_that_is_not_recorded_is_refused_before_anything_lands(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not have the night 2024-02-12") as caught:
        _land(tmp_path, date(2024, 2, 11), date(2024, 2, 13))
    assert caught.value.how_many == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.spark
def test_labels_are_classes_with_the_key_of_the_scan(spark: SparkSession) -> None:
    from use_cases.digits.features import build_labels

    night = Nights(first=FIRST, last=FIRST, timezone="UTC")
    readings = spark.createDataFrame([(FIRST, 7, 3), (FIRST, 8, None)], "ds date, scan_id int, digit int")
    labels = build_labels({READINGS.name: readings}, night)
    assert [field.name for field in labels.schema] == list(USE_CASE.label_table.column_names)
    assert [(row["scan_id"], row["label"]) for row in labels.orderBy("scan_id").collect()] == [(7, "3"), (8, None)]
