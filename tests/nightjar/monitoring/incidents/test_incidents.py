from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightjar.lake.lake import Lake
from nightjar.monitoring.incidents.findings import Finding, FindingKind
from nightjar.monitoring.incidents.lifecycle import KINDS, Incident, advance_incidents, to_notification
from nightjar.monitoring.incidents.table import (
    MAX_GAP_NIGHTS,
    incidents_before,
    read_incidents,
    write_incidents,
)

NIGHT = date(2013, 4, 1)
SUBJECTS = ("raw/flights", "raw/weather")


def finding(
    subject: str, night: date, *, severity_ratio: float = 2.0, kind: str = "data", severity: str = "warn"
) -> Finding:
    return Finding(
        kind=kind, subject=subject, night=night, what=f"{subject} is odd", severity=severity,
        severity_ratio=severity_ratio, link="monitoring/warnings", runbook="docs/runbooks/data.md",
    )  # type: ignore[arg-type]  # fmt: skip


def play(nights: Sequence[Sequence[str]]) -> list[list[Incident]]:
    """Incidents of consecutive nights, from the subjects found on each."""
    incidents: list[Incident] = []
    played = []
    for i, subjects in enumerate(nights):
        night = NIGHT + timedelta(days=i)
        incidents = advance_incidents(
            incidents, [finding(subject, night) for subject in subjects], night, use_case="shop"
        )
        played.append(incidents)
    return played


def test_finding_on_many_nights_is_one_incident() -> None:
    played = play([["raw/flights"]] * 3 + [[]] * 3)
    assert [[(incident.state, incident.nights) for incident in night] for night in played] == [
        [("opened", 1)], [("open", 2)], [("open", 3)], [("open", 3)], [("resolved", 3)], [],
    ]  # fmt: skip
    assert len({incident.incident_id for night in played for incident in night}) == 1


def test_one_quiet_night_does_not_resolve() -> None:
    states = [[incident.state for incident in night] for night in play([["raw/flights"], [], ["raw/flights"], [], []])]
    assert states == [["opened"], ["open"], ["open"], ["open"], ["resolved"]]


def test_finding_after_resolution_opens_another_incident() -> None:
    played = play([["raw/flights"], [], [], [], ["raw/flights"]])
    assert played[0][0].incident_id != played[4][0].incident_id
    assert played[4][0].state == "opened"


def test_incident_has_the_worst_finding_of_a_night_and_the_worst_severity_so_far() -> None:
    first = advance_incidents(
        [], [finding("raw/flights", NIGHT, severity_ratio=9.0), finding("raw/flights", NIGHT)], NIGHT, use_case="shop"
    )
    assert (len(first), first[0].severity_ratio) == (1, 9.0)
    later = NIGHT + timedelta(days=1)
    breach = advance_incidents(first, [finding("raw/flights", later, severity="breach")], later, use_case="shop")
    assert (breach[0].severity, breach[0].severity_ratio, breach[0].worst_severity_ratio) == ("breach", 2.0, 9.0)
    again = NIGHT + timedelta(days=2)
    assert advance_incidents(breach, [finding("raw/flights", again)], again, use_case="shop")[0].severity == "breach"


@given(st.lists(st.sets(st.sampled_from(SUBJECTS)), max_size=40))
def test_each_subject_opens_and_resolves_in_turn(nights: list[set[str]]) -> None:
    played = play([sorted(subjects) for subjects in nights])
    for subject in SUBJECTS:
        state = "resolved"
        for night in played:
            mine = [incident for incident in night if incident.subject == subject]
            assert len(mine) <= 1
            if mine:
                assert (mine[0].state == "opened") == (state == "resolved")
                state = mine[0].state
            else:
                assert state == "resolved"


def test_notification_has_what_how_bad_since_when_where_and_what_to_do() -> None:
    played = play([["raw/flights"], ["raw/flights"], [], []])
    found, resolved = (to_notification(played[i][0], NIGHT + timedelta(days=i), use_case="shop") for i in (1, 3))
    assert (found.subject, found.resolved, found.found) == ("shop data: raw/flights", False, True)
    assert found.text == (
        "shop data: raw/flights is odd | how bad: 2.0 times what is tolerated, at worst 2.0 "
        "| since 2013-04-01, 2 nights | night: 2013-04-02 | look: monitoring/warnings | do: docs/runbooks/data.md"
    )
    assert (resolved.subject, resolved.resolved, resolved.found) == (found.subject, True, False)
    assert resolved.text.startswith("shop data: raw/flights; last: raw/flights is odd | how bad: 2.0")


def advance(
    incidents: list[Incident], night: int, *findings: Finding, checked: Collection[FindingKind] = KINDS
) -> list[Incident]:
    return advance_incidents(incidents, findings, NIGHT + timedelta(days=night), use_case="shop", checked=checked)


def test_unchecked_night_is_not_quiet() -> None:
    incidents = advance([], 0, finding("shop auc", NIGHT, kind="performance"))
    for night in range(1, 9):
        incidents = advance(incidents, night, checked=KINDS - {"performance"})
        assert [(incident.state, incident.found, incident.quiet_nights) for incident in incidents] == [
            ("open", False, 0)
        ]
    incidents = advance(advance(incidents, 9), 10)
    assert [incident.state for incident in incidents] == ["resolved"]


DATA, DRIFT = finding("raw/flights", NIGHT), finding("features/shop", NIGHT, kind="drift", severity="breach")


def test_new_drift_on_odd_data_joins_the_data_incident() -> None:
    (incident,) = advance([], 0, finding("raw/weather", NIGHT, severity_ratio=1.5), DATA, DRIFT)[:1]
    assert (incident.kind, incident.subject, incident.severity) == ("data", "raw/flights", "breach")
    assert incident.what == "raw/flights is odd; with it features/shop is odd"
    assert [incident.kind for incident in advance([], 0, DATA, finding("raw/weather", NIGHT), DRIFT)] == [
        "data",
        "data",
    ]


def test_drift_after_the_data_are_repaired_is_an_incident_of_its_own() -> None:
    incidents = advance(advance([], 0, DATA, DRIFT), 1, DRIFT)
    assert [(incident.kind, incident.state) for incident in incidents] == [("data", "open"), ("drift", "opened")]


def test_open_drift_continues_beside_odd_data() -> None:
    incidents = advance(advance([], 0, DRIFT), 1, DATA, DRIFT)
    assert [(incident.kind, incident.state, incident.nights) for incident in incidents] == [
        ("data", "opened", 1),
        ("drift", "open", 2),
    ]


def test_performance_on_odd_data_is_an_incident_of_its_own() -> None:
    kinds = [incident.kind for incident in advance([], 0, DATA, finding("shop auc", NIGHT, kind="performance"))]
    assert kinds == ["data", "performance"]


def test_rerun_replaces_the_night_s_incidents_and_the_next_night_reads_them(lake: Lake) -> None:
    first, second = play([["raw/flights"], ["raw/flights", "raw/weather"]])
    for _ in range(2):
        write_incidents(lake, "shop", first, NIGHT, run_id="r")
    write_incidents(lake, "other", second, NIGHT, run_id="r")
    after = NIGHT + timedelta(days=2)  # the night between was not monitored
    assert incidents_before(lake, "shop", after) == first
    assert read_incidents(lake, "shop", [NIGHT]) == {NIGHT: first}
    assert incidents_before(lake, "shop", NIGHT + timedelta(days=MAX_GAP_NIGHTS + 1)) == []
