"""A commit does not change a table's metadata, nor a table that is not as declared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import declared, delta
from nightjar.lake.lake import Lake
from nightjar.lake.maintenance import maintain
from nightjar.lake.parquet import write_files
from nightjar.protocol.errors import LakeError

TABLE = TableSchema(
    name="raw/things",
    comment="Things.",
    columns=(DS, Column("id", "int", "Key."), Column("name", "string", "Name.")),
    key=("id",),
)
NIGHT = date(2013, 4, 1)
Actions = dict[str, dict[str, Any]]


def rows(number: int = 7) -> pa.Table:
    return pa.table({"ds": [NIGHT], "id": [number], "name": ["n"]}).cast(delta.arrow_schema(TABLE))


def commit(lake: Lake, number: int = 7) -> int:
    schema = delta.arrow_schema(TABLE)
    written = write_files(iter(rows(number).to_batches()), lake.table(TABLE).uri, schema, ("ds",))
    return lake.table(TABLE).commit(written, [NIGHT], run_id="r")


def log_of(lake: Lake) -> dict[str, str]:
    folder = Path(lake.table(TABLE).uri, "_delta_log")
    return {path.name: path.read_text() for path in folder.glob("*.json")}


def alter(lake: Lake, change: Callable[[Actions], object]) -> None:
    """Commit other metadata or another protocol, as another engine would."""
    names = sorted(log_of(lake).items())
    actions: Actions = {
        kind: value
        for _, text in names
        for line in text.splitlines()
        for kind, value in json.loads(line).items()
        if kind in ("metaData", "protocol")
    }
    change(actions)
    file = Path(lake.table(TABLE).uri, "_delta_log", f"{len(names):020d}.json")
    file.write_text("\n".join(json.dumps({kind: value}) for kind, value in actions.items()))


def prop(name: str, value: str) -> Callable[[Actions], object]:
    return lambda actions: actions["metaData"]["configuration"].update({name: value})


def column(name: str, **changed: Any) -> Callable[[Actions], object]:
    def change(actions: Actions) -> None:
        schema = json.loads(actions["metaData"]["schemaString"])
        (field,) = (field for field in schema["fields"] if field["name"] == name)
        field.update(changed)
        actions["metaData"]["schemaString"] = json.dumps(schema)

    return change


def feature(name: str, *, reader: bool = False) -> Callable[[Actions], object]:
    def change(actions: Actions) -> None:
        actions["protocol"].update({"minWriterVersion": 7, "writerFeatures": ["appendOnly", "invariants", name]})
        if reader:
            actions["protocol"].update({"minReaderVersion": 3, "readerFeatures": [name]})

    return change


def mapping(actions: Actions) -> None:
    schema = json.loads(actions["metaData"]["schemaString"])
    for number, field in enumerate(schema["fields"], start=1):
        field["metadata"].update({"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]})
    actions["metaData"]["schemaString"] = json.dumps(schema)
    actions["metaData"]["configuration"]["delta.columnMapping.mode"] = "name"
    actions["protocol"].update({"minReaderVersion": 2, "minWriterVersion": 5})


CHANGES: dict[str, tuple[Callable[[Actions], object], str]] = {
    "column mapping": (mapping, "delta.columnMapping.mode = name"),
    "a constraint": (prop("delta.constraints.positive", "id > 0"), "delta.constraints.positive"),
    "append only": (prop("delta.appendOnly", "true"), "delta.appendOnly = true"),
    "row tracking": (prop("delta.enableRowTracking", "true"), "delta.enableRowTracking"),
    "an invariant": (column("id", metadata={"delta.invariants": "{}"}), "id carries delta.invariants"),
    "a generated column": (column("id", metadata={"delta.generationExpression": "1"}), "generationExpression"),
    "an identity column": (column("id", metadata={"delta.identity.start": 1}), "id carries delta.identity.start"),
    "a default": (column("name", metadata={"CURRENT_DEFAULT": "'x'"}), "name carries CURRENT_DEFAULT"),
    "no nulls": (column("name", nullable=False), "name may not be null in the table"),
    "a wider integer": (column("id", type="long"), "id is long in the table and integer in the declaration"),
    "another type": (column("id", type="string"), "id is string in the table and integer in the declaration"),
    "a nested type": (
        column("name", type={"type": "array", "elementType": "string", "containsNull": True}),
        "name is ",
    ),
    "clustering": (feature("clustering"), "it uses the feature clustering of Delta"),
    "commit timestamps": (feature("inCommitTimestamp"), "it uses the feature inCommitTimestamp of Delta"),
    "a feature of tomorrow": (feature("teleportation"), "it uses the feature teleportation of Delta"),
    "a type that is not read": (feature("variantType", reader=True), "does not read: variantType"),
    "commits kept elsewhere": (feature("catalogManaged", reader=True), "catalog"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_table_that_is_not_as_declared_is_left_as_it_is(lake: Lake, kind: str) -> None:
    change, words = CHANGES[kind]
    commit(lake)
    alter(lake, change)
    before = log_of(lake)
    for work in (
        lambda: commit(lake, 8),
        lambda: lake.table(TABLE).append(rows()),
        lambda: maintain(lake.table(TABLE)),
        lambda: lake.table(TABLE).check(),
    ):
        began = time.monotonic()
        with pytest.raises(LakeError) as caught:
            work()
        assert words in caught.value.what
        assert time.monotonic() - began < 5
    assert log_of(lake) == before


def test_other_partitions_are_refused(lake: Lake) -> None:
    lake.table(replace(TABLE, partition_by=("ds", "name"))).ensure()
    with pytest.raises(LakeError, match=r"partitioned by \('ds', 'name'\) and declared to be by \('ds',\)"):
        commit(lake)


def test_a_commit_and_an_append_leave_the_metadata_alone(lake: Lake) -> None:
    commit(lake)
    alter(lake, prop("delta.enableChangeDataFeed", "true"))
    alter(lake, lambda actions: actions["metaData"].update({"description": "By hand.", "name": "hand"}))
    alter(lake, column("name", metadata={"comment": "By hand.", "owner": "somebody"}))
    before = log_of(lake)
    schema = lake.table(TABLE).open().schema().to_json()
    commit(lake, 8)
    lake.table(TABLE).append(rows())
    new = [json.loads(line) for name, text in log_of(lake).items() if name not in before for line in text.splitlines()]
    assert len(new) >= 6
    assert not [action for action in new if "metaData" in action or "protocol" in action]
    after = lake.table(TABLE).open()
    assert json.loads(after.schema().to_json()) == json.loads(schema)
    assert (after.metadata().name, after.metadata().description) == ("hand", "By hand.")


def test_maintenance_changes_the_retention_and_nothing_else(lake: Lake) -> None:
    commit(lake)
    alter(lake, column("name", metadata={"comment": "By hand.", "owner": "somebody"}))
    before = lake.table(TABLE).open()
    maintain(lake.table(replace(TABLE, retention_days=90)))
    after = lake.table(TABLE).open()
    assert after.schema() == before.schema()
    changed = set(after.metadata().configuration.items()) ^ set(before.metadata().configuration.items())
    assert {name for name, _ in changed} == {"delta.deletedFileRetentionDuration"}


@pytest.mark.parametrize("work", ["commit", "append", "maintain", "widen"])
def test_what_delta_rs_refuses_for_ever_is_named_at_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    commit(lake)
    alter(lake, feature("clustering"))
    monkeypatch.setattr(declared, "WRITER_FEATURES", declared.WRITER_FEATURES | {"clustering"})
    wider = replace(TABLE, columns=(*TABLE.columns, Column("extra", "string", "More.")))
    began = time.monotonic()
    with pytest.raises(LakeError, match=r"delta-rs cannot write the table .*Cluster"):
        {
            "commit": lambda: commit(lake, 8),
            "append": lambda: lake.table(TABLE).append(rows()),
            "maintain": lambda: maintain(lake.table(replace(TABLE, retention_days=90))),
            "widen": lambda: lake.table(wider).ensure(),
        }[work]()
    assert time.monotonic() - began < 5
