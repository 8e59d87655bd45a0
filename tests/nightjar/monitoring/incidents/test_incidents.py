from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightjar.monitoring.incidents.findings import Finding, FindingKind
from nightjar.monitoring.incidents.lifecycle import KINDS, Incident, notice, step
from nightjar.monitoring.incidents.table import (
    LOOKED_BACK_NIGHTS,
    incidents_before,
    read_incidents,
    write_incidents,
)

NIGHT = date(2013, 4, 1)
SUBJECTS = ("raw/flights", "raw/weather")


def finding(subject: str, night: date, *, badness: float = 2.0, kind: str = "data", severity: str = "warn") -> Finding:
    return Finding(
        kind=kind, subject=subject, night=night, what=f"{subject} is odd", severity=severity, badness=badness,
        link="monitoring/warnings", runbook="docs/runbooks/data.md",
    )  # type: ignore[arg-type]  # fmt: skip


def play(nights: Sequence[Sequence[str]]) -> list[list[Incident]]:
    """The incidents of night after night, from the subjects that are found on each."""
    before: list[Incident] = []
    played = []
    for i, subjects in enumerate(nights):
        night = NIGHT + timedelta(days=i)
        before = step(before, [finding(subject, night) for subject in subjects], night, use_case="shop")
        played.append(before)
    return played


def test_one_incident_however_many_nights() -> None:
    played = play([["raw/flights"]] * 3 + [[]] * 3)
    assert [[(one.state, one.nights) for one in night] for night in played] == [
        [("opened", 1)], [("open", 2)], [("open", 3)], [("open", 3)], [("resolved", 3)], [],
    ]  # fmt: skip
    assert len({one.incident_id for night in played for one in night}) == 1


def test_one_quiet_night_does_not_end_it() -> None:
    states = [[one.state for one in night] for night in play([["raw/flights"], [], ["raw/flights"], [], []])]
    assert states == [["opened"], ["open"], ["open"], ["open"], ["resolved"]]


def test_what_comes_again_after_it_is_over_is_another_incident() -> None:
    played = play([["raw/flights"], [], [], [], ["raw/flights"]])
    assert played[0][0].incident_id != played[4][0].incident_id
    assert played[4][0].state == "opened"


def test_the_worst_of_a_night_speaks_and_the_gravest_severity_stays() -> None:
    first = step(
        [], [finding("raw/flights", NIGHT, badness=9.0), finding("raw/flights", NIGHT)], NIGHT, use_case="shop"
    )
    assert (len(first), first[0].badness) == (1, 9.0)
    later = NIGHT + timedelta(days=1)
    breach = step(first, [finding("raw/flights", later, severity="breach")], later, use_case="shop")
    assert (breach[0].severity, breach[0].badness, breach[0].worst_badness) == ("breach", 2.0, 9.0)
    again = NIGHT + timedelta(days=2)
    assert step(breach, [finding("raw/flights", again)], again, use_case="shop")[0].severity == "breach"


@given(st.lists(st.sets(st.sampled_from(SUBJECTS)), max_size=40))
def test_each_subject_opens_and_resolves_in_turn(nights: list[set[str]]) -> None:
    played = play([sorted(subjects) for subjects in nights])
    for subject in SUBJECTS:
        state = "resolved"
        for night in played:
            mine = [one for one in night if one.subject == subject]
            assert len(mine) <= 1
            if mine:
                assert (mine[0].state == "opened") == (state == "resolved")
                state = mine[0].state
            else:
                assert state == "resolved"


def test_a_notice_says_what_how_bad_since_when_where_and_what_to_do() -> None:
    played = play([["raw/flights"], ["raw/flights"], [], []])
    found, over = (notice(played[i][0], NIGHT + timedelta(days=i), use_case="shop") for i in (1, 3))
    assert (found.subject, found.over, found.found) == ("shop data: raw/flights", False, True)
    assert found.text == (
        "shop data: raw/flights is odd | how bad: 2.0 times what is tolerated, at worst 2.0 "
        "| since 2013-04-01, 2 nights | night: 2013-04-02 | look: monitoring/warnings | do: docs/runbooks/data.md"
    )
    assert (over.subject, over.over, over.found) == (found.subject, True, False)
    assert over.text.startswith("shop data: raw/flights; last: raw/flights is odd | how bad: 2.0")


def look(
    before: list[Incident], night: int, *findings: Finding, looked: Collection[FindingKind] = KINDS
) -> list[Incident]:
    return step(before, findings, NIGHT + timedelta(days=night), use_case="shop", looked=looked)


def test_a_night_that_nobody_looked_at_is_no_quiet_one() -> None:
    incidents = look([], 0, finding("shop auc", NIGHT, kind="performance"))
    for night in range(1, 9):
        incidents = look(incidents, night, looked=KINDS - {"performance"})
        assert [(one.state, one.found, one.quiet_nights) for one in incidents] == [("open", False, 0)]
    incidents = look(look(incidents, 9), 10)
    assert [one.state for one in incidents] == ["resolved"]


DATA, DRIFT = finding("raw/flights", NIGHT), finding("features/shop", NIGHT, kind="drift", severity="breach")


def test_what_drifts_on_odd_data_is_the_data_s_incident() -> None:
    (incident,) = look([], 0, finding("raw/weather", NIGHT, badness=1.5), DATA, DRIFT)[:1]
    assert (incident.kind, incident.subject, incident.severity) == ("data", "raw/flights", "breach")
    assert incident.what == "raw/flights is odd; with it features/shop is odd"
    assert [one.kind for one in look([], 0, DATA, finding("raw/weather", NIGHT), DRIFT)] == ["data", "data"]


def test_what_still_drifts_when_the_data_are_mended_is_an_incident_of_its_own() -> None:
    incidents = look(look([], 0, DATA, DRIFT), 1, DRIFT)
    assert [(one.kind, one.state) for one in incidents] == [("data", "open"), ("drift", "opened")]


def test_drift_that_was_there_before_goes_on_beside_odd_data() -> None:
    incidents = look(look([], 0, DRIFT), 1, DATA, DRIFT)
    assert [(one.kind, one.state, one.nights) for one in incidents] == [("data", "opened", 1), ("drift", "open", 2)]


def test_worse_scores_on_odd_data_stay_incidents_of_their_own() -> None:
    kinds = [one.kind for one in look([], 0, DATA, finding("shop auc", NIGHT, kind="performance"))]
    assert kinds == ["data", "performance"]


def test_a_night_that_runs_again_replaces_its_own_and_the_next_finds_them(lake: str) -> None:
    first, second = play([["raw/flights"], ["raw/flights", "raw/weather"]])
    for _ in range(2):
        write_incidents(lake, "shop", first, NIGHT, run_id="r")
    write_incidents(lake, "other", second, NIGHT, run_id="r")
    after = NIGHT + timedelta(days=2)  # a night between was not watched
    assert incidents_before(lake, "shop", after) == first
    assert read_incidents(lake, "shop", [NIGHT]) == {NIGHT: first}
    assert incidents_before(lake, "shop", NIGHT + timedelta(days=LOOKED_BACK_NIGHTS + 1)) == []
