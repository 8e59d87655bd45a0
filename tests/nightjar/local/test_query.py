"""SQL over the lake's tables, as an analyst asks it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from nightjar.contracts.errors import ConfigurationError
from nightjar.local.query import run_query


@pytest.fixture
def words(lake: str) -> Path:
    write_deltalake(f"{lake}/raw/words", pa.table({"word": ["one", "two"]}))
    return Path(lake)


def test_tables_are_listed_and_read(words: Path) -> None:
    assert "raw.words" in run_query(words, "")
    assert "two" in run_query(words, "SELECT max(word) FROM raw.words")


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
