"""Run ids and intervals of the commands' requests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.declarations import with_fields

from nightjar.declaration.use_case import load_use_case
from nightjar.local import plan
from nightjar.protocol.errors import ConfigurationError

USE_CASE = load_use_case("flight_delay")


def test_a_night_is_the_interval_from_two_to_two_in_new_york() -> None:
    request = plan.night(USE_CASE, date(2013, 4, 1))
    assert (request.dag_id, request.run_id) == ("flight_delay_nightly", "night__2013-04-01")
    assert request.interval == (datetime(2013, 4, 1, 6, tzinfo=UTC), datetime(2013, 4, 2, 6, tzinfo=UTC))


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2013, 3, 9), 24), (date(2013, 3, 10), 23), (date(2013, 11, 2), 25), (date(2013, 11, 3), 24)],
)
def test_nights_follow_daylight_saving(day: date, hours: int) -> None:
    start, end = plan.night(USE_CASE, day).interval
    assert (end - start).total_seconds() / 3600 == hours


def test_the_same_work_has_the_same_run_id_and_another_attempt_another() -> None:
    first, last = plan.first_history(USE_CASE)
    assert plan.history(USE_CASE, first, last).run_id == "history__2013-01-01__2013-03-31"
    assert plan.training(USE_CASE, first, last).run_id == "training__2013-01-01__2013-03-31"
    assert plan.training(USE_CASE, first, last).conf["force"] is False
    again = plan.training(USE_CASE, first, last, attempt="7")
    assert (again.run_id, again.conf["force"]) == ("training__2013-01-01__2013-03-31__7", True)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("1 April", "2013-04-02", "are not dates"),
        ("2013-04-02", "2013-04-01", "ends .* before it begins"),
        ("2012-12-31", "2013-01-02", "hold the nights 2013-01-01 to 2013-12-30"),
        ("2013-12-30", "2013-12-31", "hold the nights"),
        ("2999-01-01", "2999-01-01", "reaches into the future"),
    ],
)
def test_dates_that_cannot_be_are_refused_before_anything_starts(first: str, last: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plan.parse_nights(USE_CASE, first, last)


def test_the_first_history_is_90_nights_and_the_first_nights_follow_it() -> None:
    assert plan.first_history(USE_CASE) == (date(2013, 1, 1), date(2013, 3, 31))
    assert plan.first_nights(USE_CASE) == [date(2013, 4, 1), date(2013, 4, 2), date(2013, 4, 3)]


def test_the_first_history_is_longer_where_labels_land_later() -> None:
    monthly = with_fields(USE_CASE, target={"label_horizon_nights": 30}, monitoring={"retraining": None})
    assert plan.first_history(monthly) == (date(2013, 1, 1), date(2013, 6, 26))


def test_the_first_history_ends_with_the_sources_or_yesterday() -> None:
    assert plan.first_history(with_fields(USE_CASE, schedule={"last_night": date(2013, 2, 1)}))[1] == date(2013, 2, 1)
    today = datetime.now(ZoneInfo(USE_CASE.schedule.timezone)).date()
    begun = with_fields(USE_CASE, schedule={"first_night": today - timedelta(days=5), "last_night": None})
    assert plan.first_history(begun) == (today - timedelta(days=5), today - timedelta(days=1))
    with pytest.raises(ConfigurationError, match=r"before it begins|future"):
        plan.first_history(with_fields(begun, schedule={"first_night": today}))


def test_a_night_begins_at_the_time_that_the_use_case_declares() -> None:
    late = with_fields(USE_CASE, schedule={"nightly": "30 5 * * *", "timezone": "Asia/Kolkata"})
    assert plan.run_moment(late, date(2013, 4, 1)) == datetime(2013, 4, 1, 0, 0, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="does not have one time for all days"):
        plan.run_moment(with_fields(USE_CASE, schedule={"nightly": "0 2 * * 1-5"}), date(2013, 4, 1))


@pytest.mark.parametrize("name", ["", " ", "flight_delay", " flight_delay "])
def test_commands_run_the_named_use_case_or_the_default_one(name: str) -> None:
    assert plan.chosen_use_case(name) is USE_CASE


@pytest.mark.parametrize(
    "name", ["nothing", "../flight_delay", "Flight_delay", "$(x)", "__pycache__", "flight_delay.use_case"]
)
def test_a_use_case_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown use case .* choose one of .*flight_delay"):
        plan.chosen_use_case(name)
