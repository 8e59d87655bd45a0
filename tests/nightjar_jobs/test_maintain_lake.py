"""The maintenance program over a use case's lake."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from nightjar.contracts.job import JobSpec
from nightjar.contracts.use_case import load_use_case
from nightjar.lake import delta, ledger
from nightjar.runner import run_program
from nightjar_jobs import maintain_lake

USE_CASE = load_use_case("flight_delay")


def test_each_table_is_tended_and_the_ledger_says_so(lake: str) -> None:
    delta.ensure_table(lake, USE_CASE.score_table)
    for _ in range(3):
        ledger.record(lake, ledger.Event(event="publish", use_case=USE_CASE.name, ds=date(2026, 1, 2)))
    spec = JobSpec(
        program="maintain_lake", use_case=USE_CASE.name, first_night=date(2026, 1, 3), last_night=date(2026, 1, 3),
        dag_id="lake_maintenance", run_id="r", task_id="maintain_flight_delay", lake=lake,
    )  # fmt: skip
    result = run_program(maintain_lake.run, spec)
    assert result.status == "succeeded", result.error
    assert result.metrics == {"files_removed": 0.0, "files_put_together": 3.0}
    assert set(result.values) == {USE_CASE.score_table.name, ledger.TABLE.name}
    (event,) = ledger.read(lake, event="maintenance").to_pylist()
    assert json.loads(event["details"])[ledger.TABLE.name]["files"] == 1
    assert Path(f"{spec.output}/result.json").exists()
