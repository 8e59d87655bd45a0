"""The last task of a night: what `react` found is told once, whatever is cleared."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from tests.webhook import receiver

from nightjar.contracts.job import JobResult
from nightjar_airflow.operators.react import ReactOperator
from nightjar_airflow.operators.spark_program import SparkProgramOperator
from use_cases.flight_delay.use_case import USE_CASE

CONTEXT: Any = {
    "dag_run": SimpleNamespace(
        dag_id="flight_delay_nightly", run_id="scheduled__1", run_type="scheduled", conf={}, data_interval_start=None,
        run_after=datetime(2013, 4, 2, 6, tzinfo=UTC),
    ),
    "ti": SimpleNamespace(task_id="react", map_index=-1),
    "dag": SimpleNamespace(params={}),
    "params": {},
}  # fmt: skip
FIRST, SECOND = "NEW flight_delay drift: much moved", "NEW flight_delay data: raw/flights"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, lake: str) -> Any:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with receiver() as (address, texts):
        monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", address)
        yield texts


def run(monkeypatch: pytest.MonkeyPatch, *alerts: str, run_type: str = "scheduled") -> None:
    """The task, with a program that has found ``alerts``; the program itself is tested on its own."""

    def program(operator: SparkProgramOperator, context: Any) -> dict[str, Any]:
        operator.result = JobResult(status="succeeded", values={"alerts": list(alerts)})
        return {}

    monkeypatch.setattr(SparkProgramOperator, "execute", program)
    context = {**CONTEXT, "dag_run": SimpleNamespace(**{**vars(CONTEXT["dag_run"]), "run_type": run_type})}
    ReactOperator(use_case=USE_CASE).execute(context)  # type: ignore[arg-type]


def test_a_cleared_task_tells_only_what_is_new(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    run(monkeypatch, FIRST)
    run(monkeypatch, FIRST)
    run(monkeypatch, FIRST, SECOND)
    assert told == [FIRST, SECOND]


def test_a_backfill_tells_nobody(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    run(monkeypatch, FIRST, run_type="backfill")
    assert told == []
