"""SQL over the lake's tables, as an analyst asks it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.nightjar.scoring.test_audit import USE_CASE, publish, score

from nightjar.contracts.errors import ConfigurationError
from nightjar.local.query import connect, run_query


@pytest.fixture
def words(lake: str) -> Path:
    write_deltalake(f"{lake}/raw/words", pa.table({"word": ["one", "two"]}))
    return Path(lake)


def test_tables_are_listed_and_read(words: Path) -> None:
    assert "raw.words" in run_query(words, "")
    assert "two" in run_query(words, "SELECT max(word) FROM raw.words")


def test_the_latest_scores_have_each_entity_once_with_its_latest_night(lake: str) -> None:
    schema, first, second = USE_CASE.score_table, date(2013, 4, 1), date(2013, 4, 2)
    rows = [
        score(first, 1, 0.1), score(first, 2, 0.2),
        score(second, 2, 0.9, flight_date=second), score(second, 3, 0.3, carrier="DL"),
    ]  # fmt: skip
    publish(lake, rows, [first, second])
    name = schema.name.replace("/", ".")
    with connect(Path(lake)) as connection:
        found = connection.sql(f"SELECT ds, flight, prediction FROM {name}_latest ORDER BY flight").fetchall()
        columns = connection.sql(f"SELECT * FROM {name}_latest").columns
    assert found == [(first, 1, 0.1), (second, 2, 0.9), (second, 3, 0.3)]
    assert set(columns) == set(schema.column_names)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing FROM raw.words",
        pytest.param("SELECT CAST(word AS INTEGER) FROM raw.words", id="fails only when it is run"),
        "SELECT * FROM read_csv('/etc/passwd')",
    ],
)
def test_what_cannot_be_run_is_one_clear_line(words: Path, sql: str) -> None:
    with pytest.raises(ConfigurationError, match="where: SQL") as error:
        run_query(words, sql)
    assert "\n" not in str(error.value)
