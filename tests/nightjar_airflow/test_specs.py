from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights
from nightjar_airflow.specs import build_spec, own_nights, run_dir
from use_cases.flight_delay.use_case import USE_CASE

PARAMS = {
    "interval_start": None,
    "interval_end": None,
    "model_version": None,
    "model_policy": "champion",
    "force": False,
}
MADE = datetime(2013, 4, 3, 5, 30, tzinfo=UTC)  # 01:30 in New York


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", "/lake/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")


def context(
    start: datetime | None,
    conf: dict[str, Any] | None = None,
    map_index: int = -1,
    run_type: str = "manual",
    end: datetime | None = None,
    **params: Any,
) -> Any:
    """Airflow's context, as far as a spec needs it."""
    run = SimpleNamespace(
        dag_id="flight_delay_nightly", run_id="r 1", run_type=run_type, data_interval_start=start,
        data_interval_end=end, run_after=MADE, conf=conf,
    )  # fmt: skip
    dag = SimpleNamespace(params=PARAMS)
    ti = SimpleNamespace(task_id="ingest", map_index=map_index)
    return {"dag_run": run, "dag": dag, "params": {**PARAMS, **params}, "ti": ti}


@pytest.mark.parametrize(
    ("start", "night"),
    [
        pytest.param(datetime(2013, 4, 1, 6, tzinfo=UTC), date(2013, 4, 1), id="02:00 in New York, summer"),
        pytest.param(datetime(2013, 1, 1, 7, tzinfo=UTC), date(2013, 1, 1), id="02:00 in New York, winter"),
        pytest.param(datetime(2013, 4, 1, 3, tzinfo=UTC), date(2013, 3, 31), id="still the day before in New York"),
        pytest.param(None, date(2013, 4, 2), id="none: the last night that was over when the run was made"),
    ],
)
def test_the_night_is_the_local_day_in_which_the_interval_begins(start: datetime | None, night: date) -> None:
    spec = build_spec(context(start), USE_CASE, "ingest")
    assert (spec.first_night, spec.last_night) == (night, night)
    assert spec.params["interval_given"] is False
    assert spec.output == "/lake/_runs/flight_delay_nightly/r-1~bdb7cfb21ed7b2b29f74/ingest"


def test_a_scheduled_night_after_the_last_one_is_skipped_and_a_manual_one_is_not() -> None:
    after = datetime(2014, 1, 2, 7, tzinfo=UTC)
    with pytest.raises(AirflowSkipException, match="end with night 2013-12-30: nothing to do for 2014-01-02"):
        build_spec(context(after, run_type="scheduled"), USE_CASE, "land")
    assert build_spec(context(after), USE_CASE, "land").last_night == date(2014, 1, 2)
    last = build_spec(context(datetime(2013, 12, 30, 7, tzinfo=UTC), run_type="scheduled"), USE_CASE, "land")
    assert last.last_night == USE_CASE.schedule.last_night


@pytest.mark.parametrize("timezone", ["America/New_York", "UTC", "Pacific/Auckland"])
@pytest.mark.parametrize(
    "cron",
    [
        pytest.param("0 2 * * *", id="daily"),
        pytest.param("30 2 * * *", id="in the hour that summer time skips"),
        pytest.param("0 0 * * *", id="midnight"),
        pytest.param("0 23 * * *", id="before midnight"),
        pytest.param("0 2 * * 1", id="weekly"),
        pytest.param("@weekly", id="weekly by name"),
        pytest.param("0 2 1 * *", id="monthly"),
        pytest.param("0 2 * * 2-6", id="business days"),
        pytest.param("0 2 1,15 * *", id="twice a month"),
    ],
)
def test_runs_in_sequence_have_each_night_once(cron: str, timezone: str) -> None:
    timetable = CronDataIntervalTimetable(cron, timezone=timezone)
    between = TimeRestriction(earliest=pendulum.datetime(2023, 12, 1, tz=timezone), latest=None, catchup=True)
    nights: list[date] = []
    last = None
    while not nights or nights[-1] < date(2025, 2, 1):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=between)
        assert info is not None
        last = info.data_interval
        run: Any = SimpleNamespace(data_interval_start=last.start, data_interval_end=last.end)
        first_night, last_night = own_nights(run, timezone)
        nights += [first_night + timedelta(days=day) for day in range((last_night - first_night).days + 1)]
        ends = Nights(first=first_night, last=last_night, timezone=timezone).prediction_moment(last_night)
        assert ends <= last.end, "the day of its last night has ended when a run is due"
    assert nights == [nights[0] + timedelta(days=day) for day in range(len(nights))]


def test_a_weekly_run_has_the_seven_nights_before_it_up_to_the_last_of_the_sources() -> None:
    week = datetime(2013, 4, 1, 6, tzinfo=UTC), datetime(2013, 4, 8, 6, tzinfo=UTC)
    spec = build_spec(context(week[0], end=week[1], run_type="scheduled"), USE_CASE, "ingest")
    assert (spec.first_night, spec.last_night) == (date(2013, 4, 1), date(2013, 4, 7))
    ending = datetime(2013, 12, 28, 7, tzinfo=UTC), datetime(2014, 1, 4, 7, tzinfo=UTC)
    cut = build_spec(context(ending[0], end=ending[1], run_type="scheduled"), USE_CASE, "ingest")
    assert (cut.first_night, cut.last_night) == (date(2013, 12, 28), date(2013, 12, 30))


def test_params_choose_other_nights() -> None:
    chosen = context(datetime(2026, 1, 1, tzinfo=UTC), interval_start="2013-01-01", interval_end="2013-03-31")
    spec = build_spec(chosen, USE_CASE, "ingest")
    assert (spec.first_night, spec.last_night) == (date(2013, 1, 1), date(2013, 3, 31))
    assert spec.params["interval_given"] is True


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"interval_start": "2013-01-01"}, "interval_start is given without interval_end"),
        ({"interval_end": "2013-01-01"}, "interval_end is given without interval_start"),
        ({"interval_start": "1.4.2013", "interval_end": "2013-04-01"}, "'1.4.2013' is not a date"),
        ({"interval_start": "2013-04-01", "interval_end": "9999-12-31"}, "interval_end 9999-12-31 is out of range"),
        ({"colour": "red"}, "unknown param colour"),
    ],
)
def test_params_that_make_no_sense_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_spec(context(datetime(2013, 4, 1, 6, tzinfo=UTC), **params), USE_CASE, "ingest")


def test_an_unknown_name_in_the_runs_conf_is_refused_too() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown param modelversion .* use only force, interval_end"):
        build_spec(context(datetime(2013, 4, 1, 6, tzinfo=UTC), conf={"modelversion": "3"}), USE_CASE, "ingest")


def test_instances_of_a_mapped_task_have_a_folder_each() -> None:
    specs = [
        build_spec(context(datetime(2013, 4, 1, 6, tzinfo=UTC), map_index=i), USE_CASE, "tune") for i in (-1, 0, 1)
    ]
    assert [spec.map_index for spec in specs] == [None, 0, 1]
    assert [spec.output.rsplit("/", 1)[1] for spec in specs] == ["ingest", "ingest~0", "ingest~1"]
    assert len({spec.fingerprint for spec in specs}) == 3


def test_all_tasks_of_a_run_share_its_folder() -> None:
    given = context(datetime(2013, 4, 1, 6, tzinfo=UTC))
    assert build_spec(given, USE_CASE, "ingest").run_dir == run_dir(given)
