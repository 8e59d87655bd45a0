"""The maintenance program over a use case's lake."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from nightjar.declaration.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.job import JobSpec
from nightjar.runner import run_program
from nightjar_jobs import maintain_lake

USE_CASE = load_use_case("flight_delay")


def spec_of(lake: str) -> JobSpec:
    return JobSpec(
        program="maintain_lake", use_case=USE_CASE.name, first_night=date(2026, 1, 3), last_night=date(2026, 1, 3),
        dag_id="lake_maintenance", run_id="r", task_id="maintain_flight_delay", lake=lake,
    )  # fmt: skip


def test_each_table_is_maintained_and_recorded_in_the_ledger(lake: str) -> None:
    Lake(lake).table(USE_CASE.score_table).ensure()
    for _ in range(3):
        ledger.record(Lake(lake), ledger.Event(event="publish", use_case=USE_CASE.name, ds=date(2026, 1, 2)))
    spec = spec_of(lake)
    result = run_program(maintain_lake.run, spec)
    assert result.status == "succeeded", result.error
    assert result.metrics == {"files_removed": 0.0, "files_compacted": 3.0}
    assert set(result.tables) == {USE_CASE.score_table.name, ledger.TABLE.name}
    (event,) = ledger.read(Lake(lake), event="maintenance").to_pylist()
    assert json.loads(event["details"])[ledger.TABLE.name]["files"] == 1
    assert Path(f"{spec.output}/result.json").exists()


def test_tables_that_cannot_be_opened_are_named_after_the_others_are_maintained(lake: str) -> None:
    for schema in (USE_CASE.feature_table, USE_CASE.label_table, USE_CASE.score_table):
        Lake(lake).table(schema).ensure()
    for schema in (USE_CASE.feature_table, USE_CASE.label_table):
        commit = Path(Lake(lake).table(schema).uri, "_delta_log", f"{0:020}.json")
        commit.write_bytes(commit.read_bytes()[:100])
    result = run_program(maintain_lake.run, spec_of(lake))
    assert result.status == "failed"
    assert result.error is not None
    assert "not maintained: features/flight_delay (" in result.error
    assert "how many: 2" in result.error
    (event,) = ledger.read(Lake(lake), event="maintenance").to_pylist()
    assert set(json.loads(event["details"])) == {USE_CASE.score_table.name}
    assert event["reason"].endswith("not maintained: features/flight_delay, labels/flight_delay")
