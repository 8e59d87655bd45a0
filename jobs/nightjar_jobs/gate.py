"""Judge the challenger: ``python -m nightjar_jobs.gate --spec <uri>``.

Verdicts: ``promote`` (it becomes champion), ``keep`` (the champion stays; green, with the reason), ``refused`` (it
misses a floor or ceiling and there is no champion to keep; red, with the figures).
"""

from __future__ import annotations

import json
import logging

from nightjar.contracts.errors import GateError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.use_case import load_use_case
from nightjar.evaluation.verdict import CHALLENGER, CHAMPION, Verdict, judge
from nightjar.lake import ledger
from nightjar.lake.results import earlier_result
from nightjar.registry import models
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> JobResult:
    """Judge the run's registered version by what ``evaluate`` measured; to the ledger and to MLflow's tags.

    Returns:
        ``values``: ``verdict`` (``promote`` or ``keep``), ``reasons``, ``model_version``, ``champion_version``.

    Raises:
        GateError: when it could not look, or when the challenger is refused and there is no champion.
    """
    use_case = load_use_case(spec.use_case)
    evaluated, registered = earlier_result(spec, "evaluate"), earlier_result(spec, "register")
    challenger = models.resolve(spec.use_case, registered.values["model_version"])
    champion = models.champion(spec.use_case)
    if champion is not None and champion.version == challenger.version:
        champion = None  # a rerun after promotion: judged as it was, against the champion of the evaluation
    _check_same(evaluated, challenger, champion)
    judged_against = evaluated.values["champion_version"]
    verdict = judge(use_case.gate, evaluated.metrics, champion=judged_against)
    for reason in (*verdict.reasons, f"verdict on version {challenger.version}: {verdict.decision}"):
        log.info(reason)
    _record(spec, challenger, verdict, evaluated)
    if verdict.decision == "refused":
        raise GateError(
            f"version {challenger.version} is refused: {'; '.join(verdict.reasons)}",
            where=f"gate of {spec.use_case}",
            fix="train on more nights or better features; the floors are in the use case's declaration",
        )
    return JobResult(
        status="succeeded",
        metrics={k: v for k, v in evaluated.metrics.items() if k.startswith((CHALLENGER, CHAMPION))},
        values={
            "verdict": verdict.decision,
            "reasons": list(verdict.reasons),
            "model_version": challenger.version,
            "champion_version": judged_against,
        },
        links=models.links(challenger),
    )


def _check_same(evaluated: JobResult, challenger: models.ModelVersion, champion: models.ModelVersion | None) -> None:
    """What was measured must be what is judged, against the champion of now."""
    if evaluated.values["model_sha256"] != challenger.sha256:
        raise GateError(
            f"evaluate measured another model than version {challenger.version}",
            where=challenger.uri,
            fix="clear evaluate and register of this run",
        )
    if champion is not None and champion.version != evaluated.values["champion_version"]:
        raise GateError(
            f"champion version {champion.version} was not evaluated on this holdout",
            where=champion.uri,
            fix="clear evaluate of this run and what follows it",
        )


def _record(spec: JobSpec, challenger: models.ModelVersion, verdict: Verdict, evaluated: JobResult) -> None:
    reasons = "; ".join(verdict.reasons)
    models.set_tags(challenger, {"nightjar.verdict": verdict.decision, "nightjar.verdict_reasons": reasons})
    ledger.record(
        spec.lake,
        ledger.Event.of(
            spec,
            "gate",
            reason=f"{verdict.decision}: {reasons}",
            model_version=challenger.version,
            table_versions=evaluated.inputs,
            details={"verdict": verdict.decision, "metrics": json.loads(json.dumps(dict(evaluated.metrics)))},
        ),
    )


if __name__ == "__main__":
    main(run)
