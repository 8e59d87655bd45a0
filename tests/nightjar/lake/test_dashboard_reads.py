"""A dashboard query over many nights reads only its nights and columns."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.nightjar.scoring.test_audit import SCORES, publish, score

from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.local.query import connect

NIGHTS = [date(2013, 1, 1) + timedelta(days=i) for i in range(90)]
WEEK = NIGHTS[40:47]
QUESTION = (
    f"SELECT ds, carrier, avg(prediction) AS mean FROM {SCORES.name.replace('/', '.')} "
    f"WHERE ds BETWEEN '{WEEK[0]}' AND '{WEEK[-1]}' GROUP BY ds, carrier ORDER BY ds, carrier"
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the scores of ninety nights; tests work on copies."""
    lake = tmp_path_factory.mktemp("ninety")
    for night in NIGHTS:
        rows = [score(night, i, (i % 10) / 10, carrier=("UA", "DL")[i % 2]) for i in range(20)]
        publish(Lake(str(lake)), rows, [night])
    return lake


@pytest.fixture
def ninety(published: Path, lake: Lake) -> Lake:
    shutil.copytree(published, lake.uri, dirs_exist_ok=True)
    return lake


def ask(lake: Lake) -> list[tuple[date, str, float]]:
    with connect(Path(lake.uri)) as connection:
        return connection.sql(QUESTION).fetchall()


def spoil_other_columns(path: Path, kept: set[str]) -> int:
    """Overwrite the data of all columns except ``kept``, and return their number."""
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        columns = [group.column(i) for i in range(group.num_columns)]
    corrupted = [column for column in columns if column.path_in_schema not in kept]
    with path.open("r+b") as file:
        for column in corrupted:
            offsets = (column.dictionary_page_offset, column.data_page_offset)
            file.seek(min(offset for offset in offsets if offset))
            file.write(b"\xff" * column.total_compressed_size)
    return len(corrupted)


def test_only_the_nights_and_columns_of_the_question_are_read(ninety: Lake) -> None:
    before = ask(ninety)
    assert len(before) == 2 * len(WEEK)
    active = active_files(ninety.table(SCORES).open(), {})
    assert len(active) == len(NIGHTS)
    folder = Path(ninety.table(SCORES).uri)
    for file in active:
        if date.fromisoformat(file.partition["ds"]) in WEEK:
            assert spoil_other_columns(folder / file.path, {"carrier", "prediction"}) > 10
        else:
            (folder / file.path).unlink()  # opening it fails
    assert ask(ninety) == before


def test_a_filter_within_a_night_finds_statistics_on_what_bi_filters_by(ninety: Lake) -> None:
    import pyarrow as pa

    adds = pa.table(ninety.table(SCORES).open().get_add_actions(flatten=True))
    asked = ("flight_date", "carrier", "flight", "origin", "dest", "scheduled_departure", "prediction", "model_version")
    for column in asked:
        assert adds[f"min.{column}"].null_count == adds[f"max.{column}"].null_count == 0, column
