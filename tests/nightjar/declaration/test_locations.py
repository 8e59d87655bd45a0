"""A folder that a library would misread is rejected at start; any other can hold a lake."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.maintenance import maintain
from nightjar.lake.parquet import write_files
from nightjar.local.paths import Paths
from nightjar.protocol.errors import ConfigurationError
from nightjar.settings.environment import Settings

TABLE = TableSchema(name="raw/t", comment="x", columns=(DS, Column("id", "int", "id")), key=("id",))
NIGHT = date(2026, 1, 2)
REFUSED = [
    "a%41b",
    "%2e%2E",
    "a[b]",
    "a]",
    "{b,c}",
    "a*",
    "a?b",
    "a#b",
    "a\\b",
    "a`b",
    'a"b',
    "a\nb",
    "a|b",
    "a^b",
    "<a>",
]
FOUND = [
    "a b",
    "100%",
    "50% off",
    "ü 日本",
    "e\u0301",
    "a+b",
    "a=b",
    "a&b",
    "a;b",
    "a,b",
    "it's",
    "a:b",
    "(a)",
    "~a",
    "$a",
]


@pytest.mark.parametrize("folder", REFUSED)
@pytest.mark.parametrize("name", ["NIGHTJAR_LAKE", "NIGHTJAR_LANDING", "NIGHTJAR_MODEL_CACHE", "NIGHTJAR_CHECKPOINTS"])
def test_a_folder_that_libraries_take_for_something_else_is_refused_at_start(folder: str, name: str) -> None:
    environment = {"NIGHTJAR_LAKE": "/lake", "MLFLOW_TRACKING_URI": "http://localhost", name: f"/data/{folder}/x"}
    with pytest.raises(ConfigurationError, match="reads as a pattern or an escape") as caught:
        Settings.from_environment(environment)
    assert caught.value.where == name


@pytest.mark.parametrize("folder", REFUSED)
def test_state_and_lakes_in_such_a_folder_are_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ConfigurationError, match="reads as a pattern or an escape"):
        Paths.here({"NIGHTJAR_VAR": f"/data/{folder}/var"})
    with pytest.raises(ConfigurationError, match="reads as a pattern or an escape"):
        Lake(f"{tmp_path}/{folder}/lake")


@pytest.mark.parametrize("folder", FOUND)
def test_a_lake_works_in_any_other_folder(tmp_path: Path, folder: str) -> None:
    lake = Lake(f"{tmp_path}/{folder}/lake")
    Settings.from_environment({"NIGHTJAR_LAKE": lake.uri, "MLFLOW_TRACKING_URI": "http://localhost"})
    schema = delta.arrow_schema(TABLE)
    lake.table(TABLE).ensure()
    batch = pa.RecordBatch.from_pydict({"ds": [NIGHT], "id": [7]}, schema=schema)
    for _ in range(2):  # the second is recognised as the same bytes
        written = write_files(iter([batch]), lake.table(TABLE).uri, schema, ("ds",))
        version = lake.table(TABLE).commit(written, [NIGHT], run_id="r")
    assert version == 1
    done = maintain(lake.table(TABLE))
    assert done is not None
    assert (done.files, done.removed) == (1, 0)
    assert lake.table(TABLE).read_nights([NIGHT])["id"].to_pylist() == [7]
