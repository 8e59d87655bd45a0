"""Judge the challengers and choose one: ``python -m nightjar_jobs.gate --spec <uri>``.

Verdicts: ``promote`` (becomes champion), ``keep`` (the champion stays; the task succeeds with the reason), ``refused``
(misses a floor or ceiling and no champion exists; the task fails with the figures), ``passed_over`` (good enough, but
another model of the same training is chosen).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from nightjar.declaration.use_case import load_use_case
from nightjar.evaluation.verdict import CHAMPION, Choice, choose, prefix_of
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.protocol.documents import dump_values
from nightjar.protocol.errors import GateError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import CandidateVerdict, EvaluateResult, GateResult, RegisterResult
from nightjar.registry import models
from nightjar.training.candidates import candidates_of_run
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> GateResult:
    """Judge the run's registered versions by the metrics of ``evaluate``, and record the verdicts.

    Verdicts go to the ledger and to MLflow's tags. The first compressed model that is good enough is chosen, else the
    full model.

    Raises:
        GateError: when models cannot be compared, or the challenger is refused without a champion.
    """
    use_case = load_use_case(spec.use_case)
    evaluated, registered = earlier_result(spec, EvaluateResult), earlier_result(spec, RegisterResult)
    candidates = candidates_of_run(spec)
    names = [candidate.name for candidate in candidates]
    versions = {name: models.resolve(spec.use_case, registered.versions[name]) for name in names}
    champion = models.champion(spec.use_case)
    if champion is not None and champion.version in {version.version for version in versions.values()}:
        champion = None  # a rerun after promotion is judged against the champion of the evaluation
    _check_same(evaluated, versions, champion)
    judged_against = evaluated.champion_version
    if note := evaluated.champion_note:
        log.warning("WARNING %s", note)
    choice = choose(
        use_case.gate,
        use_case.problem,
        evaluated.metrics,
        {candidate.name: candidate.figures for candidate in candidates[1:]},
        champion=judged_against,
        max_loss=use_case.training.max_compression_loss,
        note=note,
    )
    for name, verdict in choice.verdicts.items():
        for reason in (*verdict.reasons, f"verdict on version {versions[name].version} ({name}): {verdict.decision}"):
            log.info(reason)
    challenger, verdict = versions[choice.name], choice.verdict
    outcomes = _record(spec, versions, choice, evaluated)
    if verdict.decision == "refused":
        raise GateError(
            f"version {challenger.version} is refused: {'; '.join(verdict.reasons)}",
            where=f"gate of {spec.use_case}",
            fix="train on more nights or better features; the floors are in the use case's declaration",
        )
    prefixes = (*(prefix_of(name) for name in names), CHAMPION)
    return GateResult(
        metrics={k: v for k, v in evaluated.metrics.items() if k.startswith(prefixes)},
        verdict="promote" if verdict.decision == "promote" else "keep",
        reasons=verdict.reasons,
        model_version=challenger.version,
        candidate=choice.name,
        candidates=outcomes,
        champion_version=judged_against,
        champion_note=note,
        links=models.links(challenger),
    )


def _check_same(
    evaluated: EvaluateResult, versions: Mapping[str, models.ModelVersion], champion: models.ModelVersion | None
) -> None:
    """Check that ``evaluate`` has measured these versions and the current champion."""
    for name, version in versions.items():
        if evaluated.sha256.get(name) != version.sha256:
            raise GateError(
                f"evaluate measured another model than version {version.version}",
                where=version.uri,
                fix="clear evaluate and register of this run",
            )
    if champion is not None and champion.version != evaluated.champion_version:
        raise GateError(
            f"champion version {champion.version} was not evaluated on this holdout",
            where=champion.uri,
            fix="clear evaluate of this run and what follows it",
        )


def _record(
    spec: JobSpec, versions: Mapping[str, models.ModelVersion], choice: Choice, evaluated: EvaluateResult
) -> dict[str, CandidateVerdict]:
    """Tag each version with its verdict, record one event, and return version, verdict and reasons by name."""
    outcomes: dict[str, CandidateVerdict] = {}
    for name, verdict in choice.verdicts.items():
        reasons = "; ".join(verdict.reasons)
        models.set_tags(versions[name], {"nightjar.verdict": verdict.decision, "nightjar.verdict_reasons": reasons})
        outcomes[name] = CandidateVerdict(
            version=versions[name].version, verdict=verdict.decision, reasons=verdict.reasons
        )
    ledger.record(
        Lake(spec.lake),
        ledger.Event.of(
            spec,
            "gate",
            reason=f"{choice.verdict.decision}: {'; '.join(choice.verdict.reasons)}",
            model_version=versions[choice.name].version,
            table_versions=evaluated.inputs,
            details={
                "verdict": choice.verdict.decision,
                "variant": choice.name,
                "candidates": {name: dump_values(outcome) for name, outcome in outcomes.items()},
                "metrics": dict(evaluated.metrics),
            },
        ),
    )
    return outcomes


if __name__ == "__main__":
    main(run)
