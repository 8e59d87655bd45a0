"""Incidents: what is wrong for one night or for twenty is told once when it begins, and once when it is over. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from nightjar.monitoring.findings import Finding, FindingKind

RESOLVED_AFTER_NIGHTS = 2
"""An incident is over after so many nights without its finding: one that comes and goes does not flap."""
REMIND_NIGHTS = 7
"""One that stays open is told again every so many nights."""

IncidentState = Literal["opened", "open", "resolved"]


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One thing that is wrong, over the nights on which it is.

    Attributes:
        incident_id: The same on all of its nights.
        kind: As of its findings.
        subject: As of its findings.
        state: ``opened`` on its first night, ``resolved`` on its last, ``open`` between.
        severity: The graver of tonight's and those before.
        opened_on: First night.
        nights: Nights with the finding so far.
        quiet_nights: Nights without it since it was last found.
        badness: Tonight's, or that of the last night with the finding.
        worst_badness: The greatest so far.
        what: The last finding in one sentence.
        link: Where to look.
        runbook: What to do.
    """

    incident_id: str
    kind: FindingKind
    subject: str
    state: IncidentState
    severity: Literal["warn", "breach"]
    opened_on: date
    nights: int
    quiet_nights: int
    badness: float
    worst_badness: float
    what: str
    link: str
    runbook: str


def step(before: Iterable[Incident], findings: Sequence[Finding], night: date, *, use_case: str) -> list[Incident]:
    """The incidents of a night, from those of the night before and what was found.

    Each subject of a kind is one incident at most; its findings of one night count as one, the worst first. The same
    arguments give the same incidents, so that a night that runs again says the same.
    """
    open_before = {(one.kind, one.subject): one for one in before if one.state != "resolved"}
    found: dict[tuple[FindingKind, str], Finding] = {}
    for finding in sorted(findings, key=lambda one: one.badness):
        found[finding.kind, finding.subject] = finding
    incidents = [
        _goes_on(open_before[key], finding) if key in open_before else _opens(finding, night, use_case)
        for key, finding in found.items()
    ]
    incidents += [_quiet(one) for key, one in open_before.items() if key not in found]
    return sorted(incidents, key=lambda one: (one.kind, one.subject))


def notices(incidents: Iterable[Incident], night: date) -> list[Incident]:
    """Those of a night that people are told of: opened, resolved, and every :data:`REMIND_NIGHTS` still open."""
    return [
        one
        for one in incidents
        if one.state != "open" or (not one.quiet_nights and (night - one.opened_on).days % REMIND_NIGHTS == 0)
    ]


def touches_data(incidents: Iterable[Incident]) -> list[Incident]:
    """Those of broken or unusual data that were found tonight: what drifts meanwhile says nothing of the world."""
    return [one for one in incidents if one.kind == "data" and one.state != "resolved" and not one.quiet_nights]


def message(incident: Incident, night: date, *, use_case: str) -> str:
    """What people are told: what, how bad, since when, where to look, what to do."""
    head = {"opened": "NEW", "open": "STILL OPEN", "resolved": "RESOLVED"}[incident.state]
    since = f"since {incident.opened_on}, {incident.nights} night{'' if incident.nights == 1 else 's'}"
    bad = f"{incident.badness:.1f} times what is tolerated, at worst {incident.worst_badness:.1f}"
    if incident.state == "resolved":
        return f"{head} {use_case} {incident.kind}: {incident.subject} | {since} | last: {incident.what}"
    return (
        f"{head} {use_case} {incident.kind}: {incident.what} | how bad: {bad} | {since} | night: {night} "
        f"| look: {incident.link} | do: {incident.runbook}"
    )


def _opens(finding: Finding, night: date, use_case: str) -> Incident:
    name = "\n".join([use_case, finding.kind, finding.subject, night.isoformat()])
    return Incident(
        incident_id=hashlib.sha256(name.encode()).hexdigest()[:12],
        kind=finding.kind,
        subject=finding.subject,
        state="opened",
        severity=finding.severity,
        opened_on=night,
        nights=1,
        quiet_nights=0,
        badness=finding.badness,
        worst_badness=finding.badness,
        what=finding.what,
        link=finding.link,
        runbook=finding.runbook,
    )


def _goes_on(incident: Incident, finding: Finding) -> Incident:
    return replace(
        incident,
        state="open",
        severity="breach" if "breach" in (incident.severity, finding.severity) else "warn",
        nights=incident.nights + 1,
        quiet_nights=0,
        badness=finding.badness,
        worst_badness=max(incident.worst_badness, finding.badness),
        what=finding.what,
        link=finding.link,
    )


def _quiet(incident: Incident) -> Incident:
    quiet = incident.quiet_nights + 1
    return replace(incident, state="resolved" if quiet >= RESOLVED_AFTER_NIGHTS else "open", quiet_nights=quiet)
