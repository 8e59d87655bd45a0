from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from nightjar.monitoring.incidents.notifications import (
    REMIND_NIGHTS,
    LastNotification,
    Notification,
    NotificationState,
    notifications_due,
)
from nightjar.protocol.documents import dump_json, load_json

NIGHT = date(2013, 4, 1)
SUBJECTS = ("shop data: raw/orders", "shop drift: features/shop")


def notification(
    subject: str = SUBJECTS[0], *, resolved: bool = False, found: bool = True, is_breach: bool = False
) -> Notification:
    severity: Literal["warn", "breach"] = "breach" if is_breach else "warn"
    return Notification(
        subject=subject, resolved=resolved, found=found and not resolved, severity=severity, text=f"{subject} is odd"
    )


def night(number: int) -> date:
    return NIGHT + timedelta(days=number)


def play(
    *nights: list[Notification], state: NotificationState | None = None
) -> tuple[list[list[str]], NotificationState]:
    """First words of the texts due on each night, and the final state."""
    state, prefixes = state or NotificationState(), []
    for i, notifications in enumerate(nights):
        texts, state = notifications_due(state, notifications, night(i))
        prefixes.append([text.split(" shop")[0] for text in texts])
    return prefixes, state


def test_opened_and_resolved_are_sent_once_each() -> None:
    prefixes, state = play(
        [notification()], [notification()], [notification(found=False)], [notification(resolved=True)], []
    )
    assert prefixes == [["NEW"], [], [], ["RESOLVED"], []]
    assert state == NotificationState(last_night=night(4))


def test_open_incident_is_sent_again_every_week() -> None:
    prefixes, _ = play(*[[notification()]] * 16)
    assert [i for i, texts in enumerate(prefixes) if texts] == [0, REMIND_NIGHTS, 2 * REMIND_NIGHTS]
    assert prefixes[REMIND_NIGHTS] == ["STILL OPEN"]


def test_worsened_incident_is_sent_immediately_and_once() -> None:
    prefixes, _ = play(
        [notification()], [notification(is_breach=True)], [notification(is_breach=True)], [notification()]
    )
    assert prefixes == [["NEW"], ["WORSE"], [], []]


def test_rerun_of_the_last_night_sends_only_what_is_new() -> None:
    _, state = play([notification()], [notification()])
    assert notifications_due(state, [notification()], night(1)) == ([], state)
    texts, _ = notifications_due(state, [notification(), notification(SUBJECTS[1])], night(1))
    assert texts == ["NEW shop drift: features/shop is odd"]


def test_night_before_the_last_is_history_and_sends_nothing() -> None:
    _, state = play([], [], [notification()])
    assert state.is_history(night(1))
    assert notifications_due(state, [notification(SUBJECTS[1])], night(1)) == ([], state)


def test_incident_opened_without_notification_is_sent_on_the_next_night() -> None:
    state = NotificationState(last_night=night(0))
    texts, _ = notifications_due(state, [notification()], night(30))
    assert texts == ["NEW shop data: raw/orders is odd"]
    texts, _ = notifications_due(state, [notification(resolved=True)], night(30))
    assert texts == [], "it was never reported as open"


def test_quiet_night_sends_neither_news_nor_reminder() -> None:
    assert notifications_due(NotificationState(), [notification(found=False)], night(0))[0] == []
    last = LastNotification(night=night(0), severity="warn")
    state = NotificationState(last_night=night(0), open={SUBJECTS[0]: last})
    assert notifications_due(state, [notification(found=False)], night(REMIND_NIGHTS))[0] == []


def test_incident_without_a_row_is_resolved() -> None:
    _, state = play([notification()])
    texts, state = notifications_due(state, [], night(1))
    assert texts == ["RESOLVED shop data: raw/orders: monitoring has no open incident on it any more"]
    assert not state.open


def test_state_survives_json() -> None:
    _, state = play([notification()], [notification(), notification(SUBJECTS[1])])
    assert load_json(NotificationState, dump_json(state)) == state
    state = replace(state, unsent=("NEW shop data: raw/orders is odd",))
    assert load_json(NotificationState, dump_json(state)) == state
    empty = NotificationState()
    assert load_json(NotificationState, dump_json(empty)) == empty


NOTIFICATIONS = st.lists(
    st.builds(
        notification, st.sampled_from(SUBJECTS), resolved=st.booleans(), found=st.booleans(), is_breach=st.booleans()
    ),
    unique_by=lambda notification: notification.subject,
)


@given(st.lists(st.tuples(st.integers(0, 30), NOTIFICATIONS), max_size=60))
def test_new_and_resolved_alternate_in_any_order_of_nights(runs: list[tuple[int, list[Notification]]]) -> None:
    state = NotificationState()
    sent: dict[str, list[str]] = {subject: [] for subject in SUBJECTS}
    for number, notifications in runs:
        texts, state = notifications_due(state, notifications, night(number))
        assert notifications_due(state, notifications, night(number)) == ([], state), "a rerun sends nothing"
        for subject in SUBJECTS:
            prefixes = [text.split(" shop")[0] for text in texts if subject in text]
            assert len(prefixes) <= 1
            sent[subject] += prefixes
    for subject, prefixes in sent.items():
        turns = [prefix for prefix in prefixes if prefix not in {"STILL OPEN", "WORSE"}]
        assert turns == ["NEW", "RESOLVED"] * (len(turns) // 2) + ["NEW"] * (len(turns) % 2)
        assert (len(turns) % 2 == 1) == (subject in state.open)
