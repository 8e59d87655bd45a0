"""The data dictionary equals the declarations and the tables' own comments."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from deltalake import DeltaTable

import use_cases
from nightjar.declaration.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.local import data_dictionary
from nightjar.local.paths import Paths
from nightjar.monitoring.tables import MONITORING_TABLES
from nightjar.protocol.errors import ConfigurationError

USE_CASE = load_use_case("flight_delay")


def test_the_page_is_that_of_the_declarations() -> None:
    root = Paths.here().root
    declared = [load_use_case(name) for name in data_dictionary.use_case_names(root)]
    assert (root / data_dictionary.FILE).read_text() == data_dictionary.text(declared), "run `make data-dictionary`"


def test_use_cases_that_cannot_be_loaded_are_named_after_the_page_of_the_others_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(tmp_path, "include", "use_cases")
    for name, declaration in {"flight_delay": "", "bad_syntax": "USE_CASE = (", "bad_import": "import nowhere"}.items():
        (root / name).mkdir(parents=True)
        (root / name / "use_case.py").write_text(declaration)
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(use_cases, "__path__", [*use_cases.__path__, str(root)])
    with pytest.raises(
        ConfigurationError, match=r"bad_import \(ModuleNotFoundError.*bad_syntax \(SyntaxError"
    ) as error:
        data_dictionary.write(tmp_path)
    assert error.value.how_many == 2
    assert (tmp_path / data_dictionary.FILE).read_text() == data_dictionary.text([USE_CASE])


def test_every_column_of_every_table_is_on_it_with_its_meaning() -> None:
    page = data_dictionary.text([USE_CASE])
    for schema in (*USE_CASE.tables, *MONITORING_TABLES, ledger.TABLE):
        section = page.split(f"### `{schema.name}`\n")[1].split("\n#")[0]
        for column in schema.columns:
            assert column.comment
            assert f"| `{column.name}` | {column.type} |" in section
            assert column.comment.replace("|", "\\|") in section


def test_every_table_of_monitoring_is_among_those_that_are_tended_and_documented() -> None:
    folder = Paths.here().root / "include" / "nightjar" / "monitoring"
    declared = {
        name for file in folder.rglob("*.py") for name in re.findall(r'name="(monitoring/\w+)"', file.read_text())
    }
    assert declared == {schema.name for schema in MONITORING_TABLES}


def test_the_tables_carry_the_same_comments(lake: Lake) -> None:
    for schema in USE_CASE.tables:
        lake.table(schema).ensure()
        table = DeltaTable(lake.table(schema).uri)
        assert table.metadata().description == schema.comment
        found = {field.name: field.metadata.get("comment") for field in table.schema().fields}
        assert found == {column.name: column.comment for column in schema.columns}


def test_a_column_that_came_later_has_its_comment_too(lake: Lake) -> None:
    whole = USE_CASE.score_table
    older = replace(whole, columns=tuple(c for c in whole.columns if c.name != "fallback_reason"))
    lake.table(older).ensure()
    lake.table(whole).ensure()
    (field,) = (f for f in lake.table(whole).open().schema().fields if f.name == "fallback_reason")
    assert field.metadata["comment"].startswith("Why a fallback version")
