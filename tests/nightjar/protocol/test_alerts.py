from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from nightjar.protocol.alerts import REMIND_NIGHTS, Heard, Notice, Told, to_tell

NIGHT = date(2013, 4, 1)
SUBJECTS = ("shop data: raw/orders", "shop drift: features/shop")


def notice(subject: str = SUBJECTS[0], *, over: bool = False, found: bool = True, grave: bool = False) -> Notice:
    severity: Literal["warn", "breach"] = "breach" if grave else "warn"
    return Notice(subject=subject, over=over, found=found and not over, severity=severity, text=f"{subject} is odd")


def night(number: int) -> date:
    return NIGHT + timedelta(days=number)


def play(*nights: list[Notice], told: Told | None = None) -> tuple[list[list[str]], Told]:
    """First words of what is told on night after night."""
    told, words = told or Told(), []
    for i, notices in enumerate(nights):
        texts, told = to_tell(told, notices, night(i))
        words.append([text.split(" shop")[0] for text in texts])
    return words, told


def test_opened_and_over_are_told_once_each() -> None:
    words, told = play([notice()], [notice()], [notice(found=False)], [notice(over=True)], [])
    assert words == [["NEW"], [], [], ["RESOLVED"], []]
    assert told == Told(until=night(4))


def test_one_that_stays_is_told_again_each_week() -> None:
    words, _ = play(*[[notice()]] * 16)
    assert [i for i, said in enumerate(words) if said] == [0, REMIND_NIGHTS, 2 * REMIND_NIGHTS]
    assert words[REMIND_NIGHTS] == ["STILL OPEN"]


def test_one_that_gets_worse_is_told_at_once_and_once() -> None:
    words, _ = play([notice()], [notice(grave=True)], [notice(grave=True)], [notice()])
    assert words == [["NEW"], ["WORSE"], [], []]


def test_the_same_night_again_has_nothing_new_to_tell() -> None:
    _, told = play([notice()], [notice()])
    assert to_tell(told, [notice()], night(1)) == ([], told)
    texts, _ = to_tell(told, [notice(), notice(SUBJECTS[1])], night(1))
    assert texts == ["NEW shop drift: features/shop is odd"]


def test_an_older_night_is_history() -> None:
    _, told = play([], [], [notice()])
    assert told.knows_later_than(night(1))
    assert to_tell(told, [notice(SUBJECTS[1])], night(1)) == ([], told)


def test_what_began_while_nobody_was_told_is_told_on_the_first_night_that_tells() -> None:
    texts, _ = to_tell(Told(until=night(0)), [notice()], night(30))
    assert texts == ["NEW shop data: raw/orders is odd"]
    assert to_tell(Told(until=night(0)), [notice(over=True)], night(30))[0] == [], "of which nobody knew"


def test_of_one_that_is_quiet_tonight_nobody_is_told_that_it_is_there() -> None:
    assert to_tell(Told(), [notice(found=False)], night(0))[0] == []
    told = Told(until=night(0), open={SUBJECTS[0]: Heard(night=night(0), severity="warn")})
    assert to_tell(told, [notice(found=False)], night(REMIND_NIGHTS))[0] == []


def test_what_is_not_there_any_more_is_over() -> None:
    _, told = play([notice()])
    texts, told = to_tell(told, [], night(1))
    assert texts == ["RESOLVED shop data: raw/orders: monitoring knows nothing of it any more"]
    assert not told.open


def test_what_people_know_is_the_same_out_of_json() -> None:
    _, told = play([notice()], [notice(), notice(SUBJECTS[1])])
    assert Told.of(json.loads(json.dumps(told.to_document()))) == told
    told = replace(told, untold=("NEW shop data: raw/orders is odd",))
    assert Told.of(json.loads(json.dumps(told.to_document()))) == told
    assert Told.of(json.loads(json.dumps(Told().to_document()))) == Told()


NOTICES = st.lists(
    st.builds(notice, st.sampled_from(SUBJECTS), over=st.booleans(), found=st.booleans(), grave=st.booleans()),
    unique_by=lambda one: one.subject,
)


@given(st.lists(st.tuples(st.integers(0, 30), NOTICES), max_size=60))
def test_in_whatever_order_nights_run_people_hear_new_and_resolved_in_turn(
    runs: list[tuple[int, list[Notice]]],
) -> None:
    told = Told()
    heard: dict[str, list[str]] = {subject: [] for subject in SUBJECTS}
    for number, notices in runs:
        texts, told = to_tell(told, notices, night(number))
        assert to_tell(told, notices, night(number)) == ([], told), "asked again, there is nothing to say"
        for subject in SUBJECTS:
            said = [text.split(" shop")[0] for text in texts if subject in text]
            assert len(said) <= 1
            heard[subject] += said
    for subject, said in heard.items():
        turns = [word for word in said if word not in {"STILL OPEN", "WORSE"}]
        assert turns == ["NEW", "RESOLVED"] * (len(turns) // 2) + ["NEW"] * (len(turns) % 2)
        assert (len(turns) % 2 == 1) == (subject in told.open)
