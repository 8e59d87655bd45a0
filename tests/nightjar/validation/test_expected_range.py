from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nightjar.validation.expected_range import MIN_NIGHTS, expected_range

TONIGHT = date(2013, 4, 1)  # a Monday


def nights(count: int) -> list[date]:
    return [TONIGHT - timedelta(days=i) for i in range(count, 0, -1)]


def test_with_too_few_nights_nothing_is_said() -> None:
    assert expected_range([1.0] * (MIN_NIGHTS - 1), nights(MIN_NIGHTS - 1), TONIGHT, noise=1.0) is None
    assert expected_range([1.0] * MIN_NIGHTS, nights(MIN_NIGHTS), TONIGHT, noise=1.0) is not None


def test_a_weekday_is_compared_with_its_own_kind() -> None:
    days = nights(42)
    history = [500.0 if day.weekday() == 0 else 1000.0 for day in days]
    found = expected_range(history, days, TONIGHT, noise=10.0)
    assert found is not None
    assert found.center == 500
    tuesday = expected_range(history, days, TONIGHT + timedelta(days=1), noise=10.0)
    assert tuesday is not None
    assert tuesday.center == 1000


def test_one_storm_in_the_history_does_not_move_the_center() -> None:
    history = [5.0, 6.0, 4.0, 5.0, 6.0] * 8
    history[7] = 500.0
    found = expected_range(history, nights(40), TONIGHT, noise=0.1)
    assert found is not None
    assert found.center < 7


@given(st.lists(st.floats(-1e6, 1e6), min_size=MIN_NIGHTS, max_size=42), st.floats(1e-3, 1e3))
def test_whatever_the_last_nights_had_is_expected(history: list[float], noise: float) -> None:
    found = expected_range(history, nights(len(history)), TONIGHT, noise=noise)
    assert found is not None
    assert found.low <= min(history) <= max(history) <= found.high
    assert found.low <= found.center <= found.high


def test_ordinary_nights_are_seldom_unusual() -> None:
    random = np.random.default_rng(7)
    outside = 0
    for _ in range(1000):
        *history, tonight = random.gamma(4, 10, 43).tolist()  # skewed, as delays are
        found = expected_range(history, nights(42), TONIGHT, noise=0.1)
        assert found is not None
        outside += not found.low <= tonight <= found.high
    assert outside <= 2
