"""React to the findings of monitoring: incidents, notifications and, by policy, a request for retraining."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import date
from typing import Any

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import ledger
from nightjar.lake.arrow_start import start_arrow_without_pandas
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.monitoring.data_quality.table import data_findings
from nightjar.monitoring.drift.findings import drift_findings
from nightjar.monitoring.incidents.checked import checked_kinds
from nightjar.monitoring.incidents.findings import Finding
from nightjar.monitoring.incidents.lifecycle import Incident, advance_incidents, to_notification
from nightjar.monitoring.incidents.model_age import model_age_days
from nightjar.monitoring.incidents.retraining import decide
from nightjar.monitoring.incidents.retraining_evidence import collect_evidence
from nightjar.monitoring.incidents.table import INCIDENTS_TABLE, incidents_before, write_incidents
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.table import performance_findings
from nightjar.monitoring.skew.table import skew_findings
from nightjar.protocol.incidents import RetrainingDecision
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import ReactResult, ValidateScoresResult
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)
REQUEST = "retrain_request"
"""Event in the ledger."""


def run(spec: JobSpec) -> ReactResult:
    """Update the incidents of the nights, one night after the other, and decide on a retraining.

    Notifications (``values["notifications"]``) and the decision are those of the last night only; the other nights of a
    range are history. A rerun replaces the night's incidents; later nights keep theirs until they are rerun. A night
    that is history (the param ``history``: in a backfill, or before the last night with notifications) requests no
    retraining.

    Raises:
        GateError: when the run has no scores that passed validation.
    """
    return react(spec, load_use_case(spec.use_case))


def react(spec: JobSpec, use_case: UseCase) -> ReactResult:
    """:func:`run` for a given use case."""
    lake = Lake(spec.lake)
    began = time.monotonic()
    version, rows = 0, 0
    for night in spec.nights(use_case.schedule.timezone):
        incidents = advance_night(lake, use_case, night)
        version = write_incidents(lake, use_case.name, incidents, night, run_id=spec.run_id)
        rows += len(incidents)
    notifications = tuple(to_notification(incident, spec.last_night, use_case=use_case.name) for incident in incidents)
    for incident, notification in zip(incidents, notifications, strict=True):
        log.warning("incident %s, %s: %s", incident.incident_id, incident.state, notification.text)
    decision = _decide(spec, use_case)
    _record(spec, decision)
    return ReactResult(
        rows_in=rows,
        rows_out=rows,
        outputs={INCIDENTS_TABLE.name: version},
        metrics={"open_incidents": float(sum(incident.state != "resolved" for incident in incidents))},
        notifications=notifications,
        retrain=decision,
        seconds={"react": round(time.monotonic() - began, 3)},
    )


def advance_night(lake: Lake, use_case: UseCase, night: date) -> list[Incident]:
    """Return the night's incidents, from those of the night before and the night's findings."""
    return advance_incidents(
        incidents_before(lake, use_case.name, night),
        read_findings(lake, use_case, night),
        night,
        use_case=use_case.name,
        checked=checked_kinds(lake, use_case, night),
    )


def read_findings(lake: Lake, use_case: UseCase, night: date) -> list[Finding]:
    """Return all findings of a night."""
    return [
        *data_findings(lake, use_case.name, night),
        *drift_findings(lake, use_case, night),
        *performance_findings(lake, use_case, night),
        *skew_findings(lake, use_case.name, night),
    ]


def _decide(spec: JobSpec, use_case: UseCase) -> RetrainingDecision:
    lake = Lake(spec.lake)
    policy, night = use_case.monitoring.retraining, spec.last_night
    if policy is None:
        return RetrainingDecision()
    scoring_model = earlier_result(spec, ValidateScoresResult).parts[CHAMPION].scoring_model
    if scoring_model.fallback_reason or spec.params.get("model_version"):
        log.info(
            "version %s scored instead of the champion: its results are not a reason to retrain", scoring_model.version
        )
        return RetrainingDecision()
    champion = scoring_model.version
    evidence, over_nights = collect_evidence(lake, use_case, policy, night, champion=champion)
    age_days = model_age_days(lake, use_case.name, champion, night)
    decision = decide(
        policy,
        evidence,
        night,
        monitored=performance_problem(use_case.problem).monitored,
        over_nights=over_nights,
        age_days=age_days,
        requested=_requested_nights(spec),
    )
    if decision.request and spec.params.get("history"):
        return replace(decision, request=False, blocked_by="the night is history")
    return decision


def _requested_nights(spec: JobSpec) -> list[date]:
    """Return the nights of all requests."""
    return [event["ds"] for event in ledger.read(Lake(spec.lake), event=REQUEST, use_case=spec.use_case).to_pylist()]


def _record(spec: JobSpec, decision: RetrainingDecision) -> None:
    """Log the decision, and record a request in the ledger once per night."""
    if decision.blocked_by:
        log.warning("no retraining is requested (%s), although %s", decision.blocked_by, decision.reason)
    if not decision.request:
        return
    log.warning("a retraining is requested: %s", decision.reason)
    if spec.last_night not in _requested_nights(spec):
        details: dict[str, Any] = {"night": spec.last_night.isoformat()}
        ledger.record(Lake(spec.lake), ledger.Event.of(spec, REQUEST, reason=decision.reason, details=details))


if __name__ == "__main__":
    start_arrow_without_pandas()
    main(run)
