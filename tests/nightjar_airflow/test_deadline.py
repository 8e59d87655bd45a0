"""When a night is late, and where that is reported."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models import DagRun, Log
from airflow.models.base import Base
from airflow.serialization.encoders import encode_deadline_alert
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session
from tests.declarations import with_fields
from tests.webhook import receiver

from nightjar.declaration.use_case import UseCase
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar_airflow.dags import build_nightly_dag
from nightjar_airflow.deadlines import ScheduledEnd
from nightjar_airflow.notifiers.deadline import night_in_time, night_is_late
from nightjar_plugin import NightjarPlugin
from use_cases.flight_delay.use_case import USE_CASE

STARTS = datetime(2013, 11, 2, 6, tzinfo=UTC)  # 02:00 in New York
ENDS = datetime(2013, 11, 3, 7, tzinfo=UTC)  # 02:00 again, 25 hours later: the clocks went back


NIGHT = {
    "run_type": "scheduled", "run_after": ENDS, "logical_date": STARTS, "data_interval_start": STARTS,
    "data_interval_end": ENDS, "state": "queued", "log_template_id": 1,
}  # fmt: skip
EARLIER = {name: value - timedelta(days=1) if isinstance(value, datetime) else value for name, value in NIGHT.items()}
GOES_ON = ScheduledEnd("America/New_York", None)
UNPAUSED = '{"is_paused": false, "method": "PATCH"}'


def deadline_base(
    reference: ScheduledEnd, runs: Sequence[Mapping[str, Any]], logged: Sequence[tuple[int, str, str | None, str]] = ()
) -> datetime | None:
    """From when the deadline of the last run counts, after audit events: minutes after its end, event, DAG, extra."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine, tables=[DagRun.__table__, Log.__table__])
    with Session(engine) as session:
        for number, run in enumerate(runs, 1):
            session.execute(insert(DagRun.__table__).values(id=number, dag_id="d", run_id=f"r{number}", **run))
        for minutes, event, dag_id, extra in logged:
            moment = ENDS + timedelta(minutes=minutes)
            session.execute(insert(Log.__table__).values(event=event, dag_id=dag_id, extra=extra, dttm=moment))
        return reference._evaluate_with(session=session, dag_id="d", run_id=f"r{len(runs)}")


@pytest.mark.parametrize(("run_type", "moment"), [("scheduled", ENDS), ("backfill", None), ("manual", None)])
def test_the_deadline_counts_from_the_end_of_a_scheduled_night(run_type: str, moment: datetime | None) -> None:
    assert deadline_base(GOES_ON, [EARLIER, {**NIGHT, "run_type": run_type}]) == moment


def test_the_first_scheduled_night_of_a_dag_has_no_deadline() -> None:
    assert deadline_base(GOES_ON, [NIGHT]) is None
    assert deadline_base(GOES_ON, [{**EARLIER, "run_type": "manual"}, NIGHT]) is None


@pytest.mark.parametrize(
    ("logged", "moment"),
    [
        ([(5, "patch_dag", "d", UNPAUSED)], None),
        ([(5, "cli_dag_unpause", "d", "{}")], None),
        ([(5, "patch_dags", None, UNPAUSED)], None),
        ([(-5, "patch_dag", "d", UNPAUSED)], ENDS),
        ([(5, "patch_dag", "other", UNPAUSED)], ENDS),
        ([(5, "patch_dag", "d", UNPAUSED.replace("false", "true"))], ENDS),
        ([(5, "trigger_dag_run", "d", "{}"), (5, "cli_scheduler", None, "{}")], ENDS),
    ],
)
def test_a_night_that_was_due_while_its_dag_was_paused_has_no_deadline(
    logged: list[tuple[int, str, str | None, str]], moment: datetime | None
) -> None:
    assert deadline_base(GOES_ON, [EARLIER, NIGHT], logged) == moment


@pytest.mark.parametrize(
    ("last_night", "moment"), [(date(2013, 11, 1), None), (date(2013, 11, 2), ENDS), (date(2013, 11, 3), ENDS)]
)
def test_a_night_after_the_last_one_of_the_sources_has_no_deadline(last_night: date, moment: datetime | None) -> None:
    assert deadline_base(ScheduledEnd("America/New_York", last_night), [EARLIER, NIGHT]) == moment


@pytest.mark.parametrize("use_case", [USE_CASE, with_fields(USE_CASE, schedule={"last_night": None})])
def test_the_scheduler_reads_the_deadline_that_the_dag_declares(use_case: UseCase) -> None:
    assert ScheduledEnd in NightjarPlugin.deadline_references
    (alert,) = build_nightly_dag(use_case, doc_md="# page").deadline or []
    assert alert.interval == timedelta(minutes=USE_CASE.schedule.deadline_minutes)
    encoded = json.loads(json.dumps(encode_deadline_alert(alert)["reference"]))
    assert encoded["__class_path"] == "nightjar_airflow.deadlines.ScheduledEnd"
    assert ScheduledEnd.deserialize_reference(encoded) == ScheduledEnd(
        use_case.schedule.timezone, use_case.schedule.last_night
    )


@pytest.fixture
def sent(lake: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    monkeypatch.setenv("NIGHTJAR_LAKE", lake)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example.org/")
    with receiver() as (address, texts):
        monkeypatch.setenv("NIGHTJAR_ALERT_WEBHOOK", address)
        yield texts


def late(days: int) -> None:
    """Report a night as late, ``days`` after the first."""
    starts = (STARTS + timedelta(days=days)).isoformat()
    run = {"dag_id": "flight_delay_nightly", "dag_run_id": f"scheduled__{days}", "data_interval_start": starts}
    asyncio.run(night_is_late("flight_delay", "America/New_York", 60, {"dag_run": run}))


def done(*, minutes: int) -> None:
    """Finish a scheduled night ``minutes`` after its time."""
    end = datetime.now(UTC) - timedelta(minutes=minutes)
    run = SimpleNamespace(dag_id="flight_delay_nightly", run_id="scheduled__y", data_interval_end=end)
    context: Any = {"dag_run": run, "ti": SimpleNamespace(task_id="react", map_index=-1)}
    night_in_time(USE_CASE, context)


def test_a_late_night_is_logged_recorded_and_notified(
    lake: str, sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        late(0)
    (text,) = sent
    assert text.startswith("NEW flight_delay_nightly is late: run scheduled__0 was not done 60 minutes after its time")
    assert text.endswith("| page: http://airflow.example.org/dags/flight_delay_nightly/runs/scheduled__0")
    assert "run scheduled__0 was not done 60 minutes after its time" in caplog.text
    (event,) = ledger.read(Lake(lake), event="late").to_pylist()
    assert (event["use_case"], event["ds"], event["run_id"]) == ("flight_delay", date(2013, 11, 2), "scheduled__0")


def test_consecutive_late_nights_are_reported_once_each_week_and_when_resolved(lake: str, sent: list[str]) -> None:
    done(minutes=1)
    for days in range(9):
        late(days)
    done(minutes=USE_CASE.schedule.deadline_minutes + 1)  # done, and late still
    assert [text.split(" flight")[0] for text in sent] == ["NEW", "STILL LATE since the night 2013-11-02:"]
    for _ in range(2):
        done(minutes=USE_CASE.schedule.deadline_minutes - 1)
    assert sent[2:] == [
        "RESOLVED flight_delay_nightly was late since the night 2013-11-02: run scheduled__y is in time"
    ]
    late(20)
    assert sent[-1].startswith("NEW ")
    assert len(ledger.read(Lake(lake), event="late")) == 10, "the ledger has each"
