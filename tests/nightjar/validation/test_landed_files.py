"""Files with one pollution each, compared with Python's ``csv``: equal rows or rejected lines, never another row."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.nightjar.validation.polluted_files import POLLUTIONS, CleanFile, clean_file, pollute

from nightjar.declaration.tables import Column
from nightjar.protocol.names import MALFORMED, TEXT
from nightjar.validation.landed_rows import read_rows

Row = tuple[str | None, ...]


def read(path: Path, data: bytes, columns: Sequence[Column]) -> tuple[list[Row], list[dict[str, Any]]]:
    """The accepted rows as text, those whose values are of the declared formats; and the rejected lines."""
    path.write_bytes(data)
    batches = list(read_rows(str(path), columns))
    whole = [row for batch in batches for row in batch.to_pylist()]
    rows = [tuple(row[TEXT].values()) for row in whole if row[MALFORMED] is None and not _fails(row, columns)]
    return rows, [row[MALFORMED] for row in whole if row[MALFORMED] is not None]


def _fails(row: dict[str, Any], columns: Sequence[Column]) -> bool:
    return any(row[column.name] is None and row[TEXT][column.name] is not None for column in columns)


def held(rows: Sequence[Sequence[str]]) -> list[Row]:
    """Return rows with ``NA`` and empty fields as null."""
    return [tuple(None if value in ("", "NA") else value for value in row) for row in rows]


def by_python(line: str, columns: Sequence[Column]) -> list[Row]:
    """The rows that Python's strict reader finds in one polluted record."""
    try:
        rows = list(csv.reader(io.StringIO(line, newline=""), strict=True))
    except csv.Error:
        return []
    return held([row for row in rows if len(row) == len(columns)])


@pytest.mark.parametrize("seed", range(2))
def test_clean_files_give_the_rows_that_python_reads(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(150):
        file = clean_file(chance, lines_in_fields=False)
        rows, rejected = read(tmp_path / "file.csv", file.data(), file.columns)
        expected = held(list(csv.reader(io.StringIO("".join(file.lines), newline=""), strict=True))[1:])
        assert (Counter(rows), rejected) == (Counter(expected), []), file


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("pollution", POLLUTIONS)
def test_a_polluted_line_is_rejected_alone(tmp_path: Path, pollution: str, seed: int) -> None:
    chance = random.Random(f"{pollution} {seed}")
    for _ in range(60):
        file = clean_file(chance, lines_in_fields=False)
        lines, at = pollute(file, pollution, chance)
        rows, rejected = read(tmp_path / "file.csv", file.data(lines), file.columns)
        check_no_other_row(file, rows, lines[at], pollution)
        lost = Counter(held(file.rows)) - Counter(rows)
        hit = 0 if pollution in ("header_again", "table_below") else 2 if pollution == "line_end" else 1
        allowed = Counter(held(file.rows[at - 1 : at - 1 + hit]))
        assert lost <= allowed, (file, lines[at], rejected)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("pollution", POLLUTIONS)
def test_no_row_is_made_up_where_fields_hold_lines(tmp_path: Path, pollution: str, seed: int) -> None:
    chance = random.Random(f"{pollution} {seed}")
    for _ in range(60):
        file = clean_file(chance, lines_in_fields=True)
        lines, at = pollute(file, pollution, chance)
        rows, _ = read(tmp_path / "file.csv", file.data(lines), file.columns)
        check_no_other_row(file, rows, lines[at], pollution)


def check_no_other_row(file: CleanFile, rows: Sequence[Row], polluted: str, pollution: str) -> None:
    """A separator more or less inside a quoted field is ordinary text and cannot be detected."""
    known = Counter(held(file.rows))
    if pollution.startswith("separator"):
        known += Counter(by_python(polluted, file.columns))
    assert Counter(rows) <= known, (Counter(rows) - known, file, polluted)
