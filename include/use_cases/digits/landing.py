"""Replay of the recorded digits: scikit-learn ships 1,797 of them; each night lands forty-one scans.

The file is read where it is installed, without importing scikit-learn, which would take seconds.
"""

from __future__ import annotations

import csv
import gzip
from datetime import date
from functools import cache
from importlib.metadata import distribution

from nightjar.lake.replay import RecordedFile, csv_file, land_nights
from nightjar.protocol.nights import Nights
from use_cases.digits.use_case import KEY, PIXELS, READINGS, SCANS, USE_CASE

SCANS_A_NIGHT = 41


def land(nights: Nights, landing: str) -> int:
    """Land the scans of each night, and what a person read of those of the night before; return the rows written."""
    return land_nights(nights, landing, USE_CASE, _recorded_files)


def _recorded_files(night: date) -> dict[str, RecordedFile]:
    start = (night - USE_CASE.schedule.first_night).days * SCANS_A_NIGHT
    scans = list(enumerate(_digits()))[start : start + 2 * SCANS_A_NIGHT]
    day_before, today = scans[:SCANS_A_NIGHT], scans[SCANS_A_NIGHT:]
    return {
        SCANS.file: csv_file([KEY.name, *PIXELS], ([number, *row[:-1]] for number, row in today)),
        READINGS.file: csv_file([KEY.name, "digit"], ([number, row[-1]] for number, row in day_before)),
    }


@cache
def _digits() -> list[list[str]]:
    """Return the record: 64 pixels and the digit of each scan."""
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    with gzip.open(str(file), "rt", newline="") as lines:
        return list(csv.reader(lines))
