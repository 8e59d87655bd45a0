"""Content of asset events, and no event when nothing changed."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors
from tests.program_results import neutral_result

from nightjar.protocol.incidents import RetrainingDecision
from nightjar.protocol.job import JobResult
from nightjar.protocol.results import PromoteResult, ReactResult
from nightjar_airflow.dags import build_training_dag
from nightjar_airflow.outcome import emit_assets
from use_cases.flight_delay.use_case import USE_CASE

MODEL = Asset(name="model/flight_delay", uri="mlflow://registry/flight_delay")
SCORES = Asset(name="scores/flight_delay", uri="delta://lake/scores/flight_delay")
NIGHTS = ("2013-04-01", "2013-04-02")


def emitted(outlets: list[Asset], result: JobResult) -> dict[str, dict[str, Any]]:
    events = OutletEventAccessors()
    emit_assets({"outlet_events": events}, outlets, result, NIGHTS)  # type: ignore[typeddict-item]
    return {outlet.name: dict(events[outlet].extra) for outlet in outlets}


def test_a_table_says_which_nights_it_got_at_which_version() -> None:
    result = JobResult(status="succeeded", rows_out=7, outputs={"scores/flight_delay": 3})
    nights = {"first_night": "2013-04-01", "last_night": "2013-04-02"}
    assert emitted([SCORES], result) == {"scores/flight_delay": {**nights, "rows": 7, "delta_version": 3}}


def test_a_promoted_model_says_which_version_it_is() -> None:
    result = neutral_result(PromoteResult, model_version="4")
    assert emitted([MODEL], result)["model/flight_delay"]["model_version"] == "4"


def test_a_champion_that_stays_emits_nothing() -> None:
    outlets = [MODEL]
    assert emitted(outlets, neutral_result(PromoteResult, promoted=False)) == {}
    assert outlets == [], "Airflow emits an event for each outlet that is left"


RETRAIN = Asset(f"retrain/{USE_CASE.name}")
INCIDENTS = Asset(name="monitoring/incidents", uri="delta://lake/monitoring/incidents")


def reacted(*, request: bool) -> JobResult:
    decision = RetrainingDecision(request=request, reason="3 of the last 7 nights were in breach")
    return neutral_result(ReactResult, rows_out=2, outputs={"monitoring/incidents": 5}, retrain=decision)


def test_a_training_that_is_asked_for_has_an_event_with_its_reason() -> None:
    events = emitted([INCIDENTS, RETRAIN], reacted(request=True))
    assert events["retrain/flight_delay"]["reason"] == "3 of the last 7 nights were in breach"
    assert events["monitoring/incidents"]["delta_version"] == 5


def test_without_a_request_no_training_begins() -> None:
    outlets = [INCIDENTS, RETRAIN]
    assert emitted(outlets, reacted(request=False)).keys() == {"monitoring/incidents"}
    assert outlets == [INCIDENTS]
    (start,) = [asset for asset in build_training_dag(USE_CASE, doc_md="#").timetable.asset_condition.objects]
    assert start.name == RETRAIN.name
