"""Promote the challenger if the gate's verdict is ``promote``: ``python -m nightjar_jobs.promote --spec <uri>``."""

from __future__ import annotations

import logging

from nightjar.declaration.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.protocol.errors import GateError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import GateResult, PromoteResult
from nightjar.registry import models
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> PromoteResult:
    """Give the alias ``champion`` to the run's version, at most once for each run.

    Raises:
        GateError: when another version became champion after the gate, or when the use case requires an approval and
            the ledger has none for this version and run.
    """
    lake = Lake(spec.lake)
    gate = earlier_result(spec, GateResult)
    challenger = models.resolve(spec.use_case, gate.model_version)
    if gate.verdict != "promote":
        return _result(challenger, promoted=False, reason=f"the gate keeps version {gate.champion_version}")
    champion = models.champion(spec.use_case)
    current = champion.version if champion else None
    promoted_before = bool(ledger.read(lake, event="promotion", dag_id=spec.dag_id, run_id=spec.run_id).num_rows)
    if promoted_before:
        reason = f"this run promoted version {challenger.version} already; champion now: version {current}"
        return _result(challenger, promoted=current == challenger.version, reason=reason)
    if current not in (gate.champion_version, challenger.version):
        raise GateError(
            f"version {current} became champion after the gate had compared with {gate.champion_version}",
            where=challenger.uri,
            fix="clear evaluate of this run and what follows it",
        )
    if load_use_case(spec.use_case).gate.approval:
        _check_approved(spec, challenger)
    if current != challenger.version:
        models.set_champion(challenger)
    ledger.record(
        lake,
        ledger.Event.of(
            spec,
            "promotion",
            reason="; ".join(gate.reasons),
            model_version=challenger.version,
            details={"from": gate.champion_version, "to": challenger.version, "sha256": challenger.sha256},
        ),
    )
    reason = f"version {challenger.version} is champion, in place of {gate.champion_version or 'none'}"
    return _result(challenger, promoted=True, reason=reason)


def _check_approved(spec: JobSpec, challenger: models.ModelVersion) -> None:
    """Check the approval in the ledger, because the order of tasks can be circumvented by hand."""
    answers = ledger.read_details(
        Lake(spec.lake), event="approval", dag_id=spec.dag_id, run_id=spec.run_id, model_version=challenger.version
    )
    if not answers or answers[-1].get("approved") is not True:
        raise GateError(
            f"version {challenger.version} {'was rejected' if answers else 'has not been approved'}",
            where=f"{ledger.TABLE.name}, event approval",
            fix="clear `approve` of this run, and answer it in Airflow's UI",
        )


def _result(challenger: models.ModelVersion, *, promoted: bool, reason: str) -> PromoteResult:
    log.info(reason)
    return PromoteResult(
        promoted=promoted, model_version=challenger.version, reason=reason, links=models.links(challenger)
    )


if __name__ == "__main__":
    main(run)
