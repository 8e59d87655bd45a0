from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.contracts.monitoring import Retraining
from nightjar.monitoring.retraining import BUDGET_DAYS, Decision, WatchedNight, decide

TONIGHT = date(2013, 6, 1)
POLICY = Retraining(breaches=3, of_nights=7, max_age_days=60, cooldown_days=10, max_per_month=2)


def nights(text: str, last: date = TONIGHT) -> list[WatchedNight]:
    """A night a letter, the last tonight: d drifted, f below the floor, b broken data, x drifted on broken data."""
    return [
        WatchedNight(
            night=last - timedelta(days=len(text) - 1 - i), drifted=letter in "dx", below_floor=letter == "f",
            broken_data=letter in "bx",
        )
        for i, letter in enumerate(text)
    ]  # fmt: skip


def on(text: str, *, age_days: float | None = 10, asked: tuple[int, ...] = ()) -> Decision:
    return decide(
        POLICY, nights(text), TONIGHT, age_days=age_days, asked=[TONIGHT - timedelta(days=days) for days in asked]
    )


@pytest.mark.parametrize(
    ("text", "request_"),
    [("d.d.f..", True), ("d.d....", False), ("ddd.......", False), ("ddddddd", True), (".......", False)],
)
def test_k_of_the_last_n_nights_in_breach_ask_for_one(text: str, request_: bool) -> None:
    assert on(text).request is request_


def test_the_reason_names_the_nights() -> None:
    assert on("....d.d.d") == Decision(
        request=True,
        reason="3 of the last 7 nights were in breach (2013-05-28, 2013-05-30, 2013-06-01)",
    )


def test_broken_data_is_no_reason_whatever_drifts() -> None:
    blocked = on("xxxxxxx")
    assert not blocked.request
    assert blocked.blocked_by == "broken data on 7 of them: mend the data first"
    assert on("dddbbbx").blocked_by == "broken data tonight: it would be trained on"
    assert on("bbbbbbb") == Decision()


def test_age_alone_asks_for_one() -> None:
    assert on(".......", age_days=60.0) == Decision()
    assert on(".......", age_days=61.0).reason == "the champion knows nothing of the last 61 days (at most 60)"
    assert on(".......", age_days=None) == Decision()


def test_nights_before_the_last_request_do_not_count_again() -> None:
    assert not on("ddd....", asked=(4,)).reason
    assert on("....ddd", asked=(4,)).blocked_by == "cool-down: one was asked for on 2013-05-28"


def test_the_budget_holds() -> None:
    assert on("ddddddd", asked=(11, 29)).blocked_by == "budget: 2 were asked for in 30 days"
    assert on("ddddddd", asked=(11, 31)).request


@given(st.lists(st.tuples(st.sampled_from(".dfbx"), st.booleans()), min_size=1, max_size=150))
def test_over_any_history_the_cool_down_and_the_budget_hold(history: list[tuple[str, bool]]) -> None:
    text = "".join(letter for letter, _ in history)
    last = TONIGHT + timedelta(days=len(text) - 1)
    watched = nights(text, last)
    asked: list[date] = []
    for one, (letter, old) in zip(watched, history, strict=True):
        seen = [earlier for earlier in watched if earlier.night <= one.night]
        decision = decide(POLICY, seen, one.night, age_days=90 if old else 10, asked=asked)
        assert decision == decide(POLICY, seen, one.night, age_days=90 if old else 10, asked=[*asked, one.night])
        if decision.request:
            assert letter not in "bx"
            asked.append(one.night)
    gaps = [(after - before).days for before, after in pairwise(asked)]
    assert all(gap >= POLICY.cooldown_days for gap in gaps)
    for night in asked:
        assert sum(0 <= (night - other).days < BUDGET_DAYS for other in asked) <= POLICY.max_per_month
