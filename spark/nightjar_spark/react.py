"""React: what monitoring has found tonight becomes incidents, of which people are told once, and perhaps a training."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from pyspark.sql import SparkSession

from nightjar.contracts.experiment import CHAMPION
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.lake import ledger
from nightjar.lake.results import earlier_result
from nightjar.monitoring.drift_findings import drift_findings, has_drifted
from nightjar.monitoring.findings import Finding
from nightjar.monitoring.incident_records import INCIDENTS_TABLE, incidents_before, read_incidents, write_incidents
from nightjar.monitoring.incidents import Incident, message, notices, step, touches_data
from nightjar.monitoring.model_age import model_age_days
from nightjar.monitoring.performance_records import performance_findings
from nightjar.monitoring.records import PastNight, past_nights
from nightjar.monitoring.retraining import Decision, WatchedNight, decide
from nightjar.monitoring.skew import skew_findings
from nightjar.monitoring.warning_records import data_findings
from nightjar.scoring.task import parts_of
from nightjar_spark.main import main

log = logging.getLogger(__name__)
REQUEST = "retrain_request"
"""The ledger's event."""


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Bring the incidents of the nights up to date, one night after the other, and decide on a training.

    People are told of the last night's only: of a range, or a backfill, the rest is history. A night that runs again
    replaces its incidents; those of nights after it stay as they are until these run again.

    Raises:
        GateError: when the run has no scores that passed their audit.
    """
    return react(spec, load_use_case(spec.use_case))


def react(spec: JobSpec, use_case: UseCase) -> JobResult:
    """:func:`run` for a given use case."""
    began = time.monotonic()
    version, rows = 0, 0
    for night in spec.nights(use_case.timezone):
        findings = findings_of(spec.lake, use_case, night)
        incidents = step(incidents_before(spec.lake, use_case.name, night), findings, night, use_case=use_case.name)
        version = write_incidents(spec.lake, use_case.name, incidents, night, run_id=spec.run_id)
        rows += len(incidents)
        decision = _decide(spec, use_case, night)
    told = [message(one, night, use_case=use_case.name) for one in notices(incidents, night)]
    for text in told:
        log.warning("%s", text)
    _record(spec, decision)
    return JobResult(
        status="succeeded",
        rows_in=rows,
        rows_out=rows,
        outputs={INCIDENTS_TABLE.name: version},
        metrics={"open_incidents": float(sum(one.state != "resolved" for one in incidents))},
        values={"alerts": told, "retrain": {**asdict(decision), "night": spec.last_night.isoformat()}},
        seconds={"react": round(time.monotonic() - began, 3)},
    )


def findings_of(lake: str, use_case: UseCase, night: date) -> list[Finding]:
    """All that monitoring has found of a night."""
    return [
        *data_findings(lake, use_case.name, night),
        *drift_findings(lake, use_case, night),
        *performance_findings(lake, use_case, night),
        *skew_findings(lake, use_case.name, night),
    ]


def _decide(spec: JobSpec, use_case: UseCase, night: date) -> Decision:
    policy = use_case.retraining
    if policy is None:
        return Decision()
    requests = ledger.read(spec.lake, event=REQUEST, use_case=use_case.name).to_pylist()
    nights = [night - timedelta(days=i) for i in range(policy.of_nights)]
    champion = parts_of(earlier_result(spec, "validate_scores").values)[CHAMPION].speaker.version
    return decide(
        policy,
        _watched(spec.lake, use_case, nights),
        night,
        age_days=model_age_days(spec.lake, use_case.name, champion, night),
        asked=[request["ds"] for request in requests],
    )


def _watched(lake: str, use_case: UseCase, nights: Sequence[date]) -> list[WatchedNight]:
    compared: Mapping[date, PastNight] = {one.night: one for one in past_nights(lake, use_case.name, nights)}
    incidents: Mapping[date, Sequence[Incident]] = read_incidents(lake, use_case.name, nights)

    def below_floor(night: date) -> bool:
        found = [one for one in incidents.get(night, ()) if one.kind == "performance" and not one.quiet_nights]
        return any(one.severity == "breach" for one in found)

    return [
        WatchedNight(
            night=night,
            drifted=night in compared and has_drifted(compared[night], use_case),
            below_floor=below_floor(night),
            broken_data=bool(touches_data(incidents.get(night, ()))),
        )
        for night in nights
    ]


def _record(spec: JobSpec, decision: Decision) -> None:
    """What was decided, in the log; a request in the ledger too, once for each night."""
    if decision.blocked_by:
        log.warning("no training is asked for (%s), though %s", decision.blocked_by, decision.reason)
    if not decision.request:
        return
    log.warning("a training is asked for: %s", decision.reason)
    asked = ledger.read(spec.lake, event=REQUEST, use_case=spec.use_case).to_pylist()
    if all(event["ds"] != spec.last_night for event in asked):
        details: dict[str, Any] = {"night": spec.last_night.isoformat()}
        ledger.record(spec.lake, ledger.Event.of(spec, REQUEST, reason=decision.reason, details=details))


if __name__ == "__main__":
    main(run)
