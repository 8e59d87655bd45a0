"""Incidents: what is wrong for one night or for twenty is told once when it begins, and once when it is over. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, get_args

from nightjar.monitoring.incidents.findings import Finding, FindingKind
from nightjar.protocol.alerts import Notice

RESOLVED_AFTER_NIGHTS = 2
"""An incident is over after so many nights without its finding: one that comes and goes does not flap."""
KINDS: frozenset[FindingKind] = frozenset(get_args(FindingKind))

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
        found: It was found tonight.
        nights: Nights with the finding so far.
        quiet_nights: Nights without it since it was last found; only those on which somebody looked.
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
    found: bool
    nights: int
    quiet_nights: int
    badness: float
    worst_badness: float
    what: str
    link: str
    runbook: str


def step(
    before: Iterable[Incident],
    findings: Sequence[Finding],
    night: date,
    *,
    use_case: str,
    looked: Collection[FindingKind] = KINDS,
) -> list[Incident]:
    """The incidents of a night, from those of the night before and what was found.

    Each subject of a kind is one incident at most; its findings of one night count as one, the worst first. The same
    arguments give the same incidents, so that a night that runs again says the same.

    Args:
        before: Incidents of the night before.
        findings: Of tonight.
        night: Tonight.
        use_case: Name of the use case.
        looked: Kinds that were looked for tonight. Without a look nothing is over: labels that are late do not end an
            incident of performance.
    """
    open_before = {(one.kind, one.subject): one for one in before if one.state != "resolved"}
    found: dict[tuple[FindingKind, str], Finding] = {}
    for finding in sorted(_blamed_on_data(findings, open_before), key=lambda one: one.badness):
        found[finding.kind, finding.subject] = finding
    incidents = [
        _goes_on(open_before[key], finding) if key in open_before else _opens(finding, night, use_case)
        for key, finding in found.items()
    ]
    quiet = [one for key, one in open_before.items() if key not in found]
    incidents += [_quiet(one, looked=one.kind in looked) for one in quiet]
    return sorted(incidents, key=lambda one: (one.kind, one.subject))


def _blamed_on_data(findings: Sequence[Finding], open_before: Collection[tuple[FindingKind, str]]) -> Sequence[Finding]:
    """What drifts on a night whose data are odd is said in the data's incident, and begins none of its own.

    Broken data are the likelier cause, and mending them is what is to be done. Drift that was there before goes on.
    """
    data = max((one for one in findings if one.kind == "data"), key=lambda one: one.badness, default=None)
    drift = [one for one in findings if one.kind == "drift" and (one.kind, one.subject) not in open_before]
    if data is None or not drift:
        return findings
    worst = max(drift, key=lambda one: one.badness)
    blamed = replace(data, what=f"{data.what}; with it {worst.what}", severity=worst.severity)
    return [blamed if one is data else one for one in findings if one not in drift]


def notice(incident: Incident, night: date, *, use_case: str) -> Notice:
    """What there is to tell of it: what, how bad, since when, where to look, what to do."""
    over = incident.state == "resolved"
    parts = [
        f"{use_case} {incident.kind}: {f'{incident.subject}; last: ' if over else ''}{incident.what}",
        f"how bad: {incident.badness:.1f} times what is tolerated, at worst {incident.worst_badness:.1f}",
        f"since {incident.opened_on}, {incident.nights} night{'' if incident.nights == 1 else 's'}",
        f"night: {night}",
        f"look: {incident.link}",
        f"do: {incident.runbook}",
    ]
    return Notice(
        subject=f"{use_case} {incident.kind}: {incident.subject}",
        over=over,
        found=incident.found,
        severity=incident.severity,
        text=" | ".join(parts),
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
        found=True,
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
        found=True,
        nights=incident.nights + 1,
        quiet_nights=0,
        badness=finding.badness,
        worst_badness=max(incident.worst_badness, finding.badness),
        what=finding.what,
        link=finding.link,
    )


def _quiet(incident: Incident, *, looked: bool) -> Incident:
    quiet = incident.quiet_nights + looked
    return replace(
        incident, state="resolved" if quiet >= RESOLVED_AFTER_NIGHTS else "open", found=False, quiet_nights=quiet
    )
