from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights

NEW_YORK = "America/New_York"
DAYS = st.dates(min_value=date(2000, 1, 1), max_value=date(2037, 1, 1))


def nights(first: date, last: date) -> Nights:
    return Nights(first=first, last=last, timezone=NEW_YORK)


def test_iterates_over_both_ends() -> None:
    assert list(nights(date(2013, 2, 27), date(2013, 3, 1))) == [date(2013, 2, 27), date(2013, 2, 28), date(2013, 3, 1)]


@pytest.mark.parametrize(
    ("night", "hours"),
    [
        pytest.param(date(2013, 3, 10), 23, id="clocks go forward"),
        pytest.param(date(2013, 11, 3), 25, id="clocks go back"),
        pytest.param(date(2013, 7, 1), 24, id="an ordinary day"),
    ],
)
def test_a_day_has_23_24_or_25_hours(night: date, hours: int) -> None:
    span = nights(night - timedelta(days=1), night)
    assert span.prediction_moment(night) - span.prediction_moment(night - timedelta(days=1)) == timedelta(hours=hours)


def test_prediction_moment_is_local_midnight_in_utc() -> None:
    night = nights(date(2013, 4, 1), date(2013, 4, 1))
    assert night.prediction_moment(date(2013, 4, 1)) == datetime(2013, 4, 2, 4, tzinfo=UTC)


@given(DAYS)
def test_prediction_moments_are_a_day_apart_give_or_take_an_hour(day: date) -> None:
    span = nights(day, day + timedelta(days=1))
    gap = span.prediction_moment(day + timedelta(days=1)) - span.prediction_moment(day)
    assert gap in {timedelta(hours=23), timedelta(hours=24), timedelta(hours=25)}


def test_an_interval_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"ends \(2013-04-01\) before it begins"):
        nights(date(2013, 4, 2), date(2013, 4, 1))


def test_a_night_is_in_the_future_until_its_day_has_ended() -> None:
    span = nights(date(2013, 4, 1), date(2013, 4, 3))
    with pytest.raises(ConfigurationError, match="reaches into the future") as failure:
        span.check_past(datetime(2013, 4, 3, 3, 59, tzinfo=UTC))
    assert failure.value.how_many == 2
    span.check_past(datetime(2013, 4, 4, 4, 0, tzinfo=UTC))
