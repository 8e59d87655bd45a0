"""Lifecycle of incidents: findings with the same kind and subject form one incident until it is resolved. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, get_args

from nightjar.monitoring.incidents.findings import Finding, FindingKind
from nightjar.protocol.incidents import Notification

RESOLVED_AFTER_NIGHTS = 2
"""Checked nights without the finding until an incident is resolved; two, so that an incident does not flap."""
KINDS: frozenset[FindingKind] = frozenset(get_args(FindingKind))

IncidentState = Literal["opened", "open", "resolved"]


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A problem over the nights that it lasts.

    Attributes:
        incident_id: Identifier, the same on all nights of the incident.
        kind: Kind of its findings.
        subject: Subject of its findings.
        state: ``opened`` on the first night, ``resolved`` on the last, ``open`` between.
        severity: Worst severity so far.
        opened_on: First night.
        found: Whether this night has the finding.
        nights: Nights with the finding so far.
        quiet_nights: Nights without the finding since the last one with it; only nights that were checked count.
        severity_ratio: Severity ratio of the last night with the finding.
        worst_severity_ratio: Largest severity ratio so far.
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
    severity_ratio: float
    worst_severity_ratio: float
    what: str
    link: str
    runbook: str


def advance_incidents(
    previous: Iterable[Incident],
    findings: Sequence[Finding],
    night: date,
    *,
    use_case: str,
    checked: Collection[FindingKind] = KINDS,
) -> list[Incident]:
    """Return the incidents of a night.

    Each kind and subject has at most one incident; of several findings on one night the worst counts. The function is
    deterministic, so that a rerun of a night gives the same incidents.

    Args:
        previous: Incidents of the night before.
        findings: Findings of the night.
        night: The night.
        use_case: Name of the use case.
        checked: Kinds that were checked on the night. An incident of another kind cannot become quiet or resolved: late
            labels do not resolve an incident of performance.
    """
    open_incidents = {
        (incident.kind, incident.subject): incident for incident in previous if incident.state != "resolved"
    }
    worst: dict[tuple[FindingKind, str], Finding] = {}
    for finding in sorted(_blame_data(findings, open_incidents), key=lambda finding: finding.severity_ratio):
        worst[finding.kind, finding.subject] = finding
    incidents = [
        _continue(open_incidents[key], finding) if key in open_incidents else _open(finding, night, use_case)
        for key, finding in worst.items()
    ]
    quiet = [incident for key, incident in open_incidents.items() if key not in worst]
    incidents += [_add_quiet_night(incident, checked=incident.kind in checked) for incident in quiet]
    return sorted(incidents, key=lambda incident: (incident.kind, incident.subject))


def _blame_data(findings: Sequence[Finding], open_incidents: Collection[tuple[FindingKind, str]]) -> Sequence[Finding]:
    """Move new drift into the data finding of the night: it opens no incident of its own.

    Broken data are the likelier cause, and have to be repaired first. Drift incidents that are already open continue.
    """
    data = max(
        (finding for finding in findings if finding.kind == "data"), key=lambda f: f.severity_ratio, default=None
    )
    drift = [f for f in findings if f.kind == "drift" and (f.kind, f.subject) not in open_incidents]
    if data is None or not drift:
        return findings
    worst = max(drift, key=lambda finding: finding.severity_ratio)
    blamed = replace(data, what=f"{data.what}; with it {worst.what}", severity=worst.severity)
    return [blamed if finding is data else finding for finding in findings if finding not in drift]


def to_notification(incident: Incident, night: date, *, use_case: str) -> Notification:
    """Describe an incident on a night: what, how severe, since when, where to look, what to do."""
    is_resolved = incident.state == "resolved"
    parts = [
        f"{use_case} {incident.kind}: {f'{incident.subject}; last: ' if is_resolved else ''}{incident.what}",
        f"how bad: {incident.severity_ratio:.1f} times what is tolerated, at worst {incident.worst_severity_ratio:.1f}",
        f"since {incident.opened_on}, {incident.nights} night{'' if incident.nights == 1 else 's'}",
        f"night: {night}",
        f"look: {incident.link}",
        f"do: {incident.runbook}",
    ]
    return Notification(
        subject=f"{use_case} {incident.kind}: {incident.subject}",
        resolved=is_resolved,
        found=incident.found,
        severity=incident.severity,
        text=" | ".join(parts),
    )


def _open(finding: Finding, night: date, use_case: str) -> Incident:
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
        severity_ratio=finding.severity_ratio,
        worst_severity_ratio=finding.severity_ratio,
        what=finding.what,
        link=finding.link,
        runbook=finding.runbook,
    )


def _continue(incident: Incident, finding: Finding) -> Incident:
    return replace(
        incident,
        state="open",
        severity="breach" if "breach" in (incident.severity, finding.severity) else "warn",
        found=True,
        nights=incident.nights + 1,
        quiet_nights=0,
        severity_ratio=finding.severity_ratio,
        worst_severity_ratio=max(incident.worst_severity_ratio, finding.severity_ratio),
        what=finding.what,
        link=finding.link,
    )


def _add_quiet_night(incident: Incident, *, checked: bool) -> Incident:
    quiet_nights = incident.quiet_nights + checked
    return replace(
        incident,
        state="resolved" if quiet_nights >= RESOLVED_AFTER_NIGHTS else "open",
        found=False,
        quiet_nights=quiet_nights,
    )
