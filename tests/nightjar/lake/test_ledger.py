"""The ledger keeps every event, in order, with its JSON columns."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.ledger import Event
from nightjar.protocol.job import JobSpec


def _spec(lake: Lake) -> JobSpec:
    return JobSpec(
        program="gate",
        use_case="flight_delay",
        first_night=date(2013, 1, 1),
        last_night=date(2013, 3, 31),
        dag_id="flight_delay_training",
        run_id="manual__1",
        task_id="gate",
        lake=lake.uri,
    )


def test_an_empty_ledger_reads_as_no_rows(lake: Lake) -> None:
    assert ledger.read(lake).num_rows == 0


def test_events_are_appended_and_read_oldest_first(lake: Lake) -> None:
    later = Event(event="promotion", use_case="a", recorded_at=datetime(2013, 4, 2, tzinfo=UTC), ds=date(2013, 4, 1))
    earlier = Event(event="gate", use_case="a", recorded_at=datetime(2013, 4, 1, tzinfo=UTC), ds=date(2013, 4, 1))
    assert ledger.record(lake, later) == 1
    assert ledger.record(lake, earlier) == 2
    assert ledger.read(lake)["event"].to_pylist() == ["gate", "promotion"]
    assert lake.open_table("ledger/events").metadata().partition_columns == ["ds"]


def test_an_event_of_a_task_names_the_run_and_the_versions(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_GIT_COMMIT", "abc123")
    event = Event.of(
        _spec(lake), "gate", reason="promote", model_version="3", table_versions={"b": 2, "a": 1}, details={"x": [1]}
    )
    ledger.record(lake, event)
    row = ledger.read(lake).to_pylist()[0]
    assert (row["ds"], row["dag_id"], row["run_id"]) == (date(2013, 3, 31), "flight_delay_training", "manual__1")
    assert (row["task_id"], row["actor"], row["git_commit"]) == ("gate", "airflow", "abc123")
    assert row["table_versions"] == '{"a": 1, "b": 2}'
    assert json.loads(row["details"]) == {"x": [1]}


def test_reading_filters_by_columns(lake: Lake) -> None:
    for use_case in ("a", "b"):
        ledger.record(lake, Event(event="failure", use_case=use_case))
    ledger.record(lake, Event(event="gate", use_case="a"))
    assert ledger.read(lake, event="failure", use_case="a").num_rows == 1
