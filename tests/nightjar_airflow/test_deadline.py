"""When a night is late, and where that is said."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta

import pytest
from airflow.models import DagRun
from airflow.models.base import Base
from airflow.serialization.encoders import encode_deadline_alert
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session
from tests.webhook import receiver

from nightjar.lake import ledger
from nightjar_airflow.dags import build_nightly_dag
from nightjar_airflow.deadlines import ScheduledEnd
from nightjar_airflow.notifiers.deadline import night_is_late
from nightjar_plugin import NightjarPlugin
from use_cases.flight_delay.use_case import USE_CASE

STARTS = datetime(2013, 11, 2, 6, tzinfo=UTC)  # 02:00 in New York
ENDS = datetime(2013, 11, 3, 7, tzinfo=UTC)  # 02:00 again, 25 hours later: the clocks went back


@pytest.mark.parametrize(("run_type", "moment"), [("scheduled", ENDS), ("backfill", None), ("manual", None)])
def test_the_deadline_counts_from_the_end_of_a_scheduled_night(run_type: str, moment: datetime | None) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine, tables=[DagRun.__table__])
    with Session(engine) as session:
        session.execute(
            insert(DagRun.__table__).values(
                id=1, dag_id="d", run_id="r", run_type=run_type, run_after=ENDS, logical_date=STARTS,
                data_interval_start=STARTS, data_interval_end=ENDS, state="queued", log_template_id=1,
            )
        )  # fmt: skip
        assert ScheduledEnd()._evaluate_with(session=session, dag_id="d", run_id="r") == moment


def test_the_scheduler_reads_the_deadline_that_the_dag_declares() -> None:
    assert ScheduledEnd in NightjarPlugin.deadline_references
    (alert,) = build_nightly_dag(USE_CASE, doc_md="# page").deadline or []
    assert alert.interval == timedelta(minutes=USE_CASE.deadline_minutes)
    assert encode_deadline_alert(alert)["reference"] == {
        "reference_type": "ScheduledEnd",
        "__class_path": "nightjar_airflow.deadlines.ScheduledEnd",
    }


def test_a_late_night_is_in_the_log_and_in_the_ledger_and_people_are_told(
    lake: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = {"dag_id": "flight_delay_nightly", "dag_run_id": "scheduled__x", "data_interval_start": STARTS.isoformat()}
    with caplog.at_level(logging.ERROR), receiver() as (address, told):
        monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", address)
        asyncio.run(night_is_late("flight_delay", "America/New_York", 60, {"dag_run": run}))
    (text,) = told
    assert text in caplog.text
    assert "run scheduled__x was not done 60 minutes after its time" in caplog.text
    (event,) = ledger.read(lake, event="late").to_pylist()
    assert (event["use_case"], event["ds"], event["run_id"]) == ("flight_delay", date(2013, 11, 2), "scheduled__x")
