from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.declaration.monitoring import Retraining
from nightjar.declaration.problem import Binary, Regression
from nightjar.monitoring.incidents.retraining import BUDGET_DAYS, WatchedNight, decide
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.protocol.incidents import RetrainingDecision

AUC = performance_problem(Binary()).monitored
TONIGHT = date(2013, 6, 1)
POLICY = Retraining(breaches=3, of_nights=7, floor=0.6, max_age_days=60, cooldown_days=10, max_per_month=2)
GOOD, LOW = Interval(value=0.7, low=0.65, high=0.75), Interval(value=0.55, low=0.51, high=0.59)


def nights(text: str, last: date = TONIGHT) -> list[WatchedNight]:
    """A night a letter, the last tonight.

    d drifted, f below the floor, b broken data, x drifted on broken data, y below the floor on a night of broken data.
    """
    return [
        WatchedNight(
            night=last - timedelta(days=len(text) - 1 - i), drifted=letter in "dx", beyond_bound=letter in "fy",
            broken_data=letter in "bx", judged_broken_data=letter == "y",
        )
        for i, letter in enumerate(text)
    ]  # fmt: skip


def on(
    text: str, *, auc: Interval | None = None, age_days: float | None = 10, requested: tuple[int, ...] = ()
) -> RetrainingDecision:
    days = [TONIGHT - timedelta(days=days) for days in requested]
    return decide(POLICY, nights(text), TONIGHT, monitored=AUC, over_nights=auc, age_days=age_days, requested=days)


@pytest.mark.parametrize(
    ("text", "request_"),
    [("d.d.f..", True), ("d.d....", False), ("ddd.......", False), ("ddddddd", True), (".......", False)],
)
def test_k_of_the_last_n_nights_in_breach_ask_for_one(text: str, request_: bool) -> None:
    assert on(text).request is request_


def test_the_reason_names_the_nights() -> None:
    assert on("....d.d.d") == RetrainingDecision(
        request=True,
        reason="3 of the last 7 nights were in breach (2013-05-28, 2013-05-30, 2013-06-01)",
    )


@pytest.mark.parametrize("text", ["xxxxxxx", "yyyyyyy", "d.x.y.."])
def test_broken_data_is_no_reason_whatever_drifts_or_falls(text: str) -> None:
    blocked = on(text)
    assert not blocked.request
    assert blocked.blocked_by.startswith(f"data incident: the data of {text.count('x') + text.count('y')} of them")
    assert on("bbbbbbb") == RetrainingDecision()
    assert on("b....d.") == RetrainingDecision(), "no breach was excused"


@pytest.mark.parametrize(("auc", "age_days"), [(GOOD, 10), (LOW, 10), (GOOD, 99)])
def test_on_a_night_of_broken_data_nothing_is_asked_for(auc: Interval, age_days: float) -> None:
    decision = on("dddbbbx", auc=auc, age_days=age_days)
    assert decision.blocked_by == "data incident: the data of this night are broken and would be used for training"


def test_an_auc_below_the_floor_over_the_last_judged_nights_asks_for_one() -> None:
    low = on(".......", auc=LOW)
    assert low.request
    assert low.reason == "over the last judged nights the AUC is 0.550 (0.510 to 0.590), below the floor of 0.6"
    for auc in (GOOD, Interval(value=0.55, low=0.45, high=0.65), None):
        assert on(".......", auc=auc) == RetrainingDecision()
    floorless = replace(POLICY, floor=None)
    assert (
        decide(floorless, nights("."), TONIGHT, monitored=AUC, over_nights=LOW, age_days=1, requested=[])
        == RetrainingDecision()
    )


def test_age_alone_asks_for_one() -> None:
    assert on(".......", age_days=60.0) == RetrainingDecision()
    assert on(".......", age_days=61.0).reason == "the champion's training data are 61 days old (at most 60)"
    assert on(".......", age_days=None) == RetrainingDecision()


def test_nights_before_the_last_request_do_not_count_again() -> None:
    assert not on("ddd....", requested=(4,)).reason
    assert on("....ddd", requested=(4,)).blocked_by == "cool-down: the last request was on 2013-05-28"


def test_the_budget_holds() -> None:
    assert on("ddddddd", requested=(11, 29)).blocked_by == "budget: 2 requests in 30 days"
    assert on("ddddddd", requested=(11, 31)).request


def test_a_night_before_one_that_has_asked_asks_for_nothing_new() -> None:
    later = on("ddd....", requested=(-5,))
    assert later.blocked_by == f"a later night, {TONIGHT + timedelta(days=5)}, has requested one"
    assert on("....ddd", requested=(0, -20)).request, "a rerun of the requesting night decides the same"


def test_an_error_above_the_ceiling_over_the_last_judged_nights_requests_a_training() -> None:
    monitored = performance_problem(Regression(unit="min")).monitored
    policy = replace(POLICY, floor=None, ceiling=12.0)

    def decided(over: Interval) -> RetrainingDecision:
        return decide(policy, nights("."), TONIGHT, monitored=monitored, over_nights=over, age_days=1, requested=[])

    assert decided(Interval(value=14.25, low=13.1, high=15.3)).reason == (
        "over the last judged nights the mean absolute error in min is 14.25 (13.1 to 15.3), above the ceiling of 12"
    )
    assert decided(Interval(value=13.0, low=11.9, high=14.1)) == RetrainingDecision()
    assert decided(Interval(value=5.0, low=4.0, high=6.0)) == RetrainingDecision(), "a small error is good"


NIGHT_KINDS = st.tuples(st.sampled_from(".dfbxy"), st.booleans(), st.booleans())


def play(history: list[tuple[str, bool, bool]], order: list[int]) -> list[date]:
    """The requests, when nights are decided in the given order."""
    first = TONIGHT - timedelta(days=len(history) - 1)
    watched = nights("".join(letter for letter, _, _ in history))
    requested: list[date] = []
    for number in order:
        letter, old, low = history[number]
        night = first + timedelta(days=number)
        seen = [evidence_night for evidence_night in watched if evidence_night.night <= night]
        given = {"monitored": AUC, "over_nights": LOW if low else GOOD, "age_days": 90 if old else 10}
        decision = decide(POLICY, seen, night, **given, requested=requested)  # type: ignore[arg-type]
        if decision.request:
            assert letter not in "bx"
            if night not in requested:
                requested.append(night)
            assert decide(POLICY, seen, night, **given, requested=requested) == decision  # type: ignore[arg-type]
    return requested


def check(requested: list[date]) -> None:
    assert all((after - before).days >= POLICY.cooldown_days for before, after in pairwise(sorted(requested)))
    for night in requested:
        assert sum(0 <= (night - other).days < BUDGET_DAYS for other in requested) <= POLICY.max_per_month


@given(st.lists(NIGHT_KINDS, min_size=1, max_size=150))
def test_over_any_history_the_cool_down_and_the_budget_hold(history: list[tuple[str, bool, bool]]) -> None:
    check(play(history, list(range(len(history)))))


@given(st.data())
def test_they_hold_in_whatever_order_nights_run(data: st.DataObject) -> None:
    history = data.draw(st.lists(NIGHT_KINDS, min_size=1, max_size=60))
    order = data.draw(st.lists(st.integers(0, len(history) - 1), max_size=90))
    check(play(history, order))


@given(st.lists(st.sampled_from(".bxy"), min_size=1, max_size=60))
def test_over_any_history_broken_data_alone_ask_for_nothing(letters: list[str]) -> None:
    assert play([(letter, False, False) for letter in letters], list(range(len(letters)))) == []
