"""Fail visibly when a fallback has scored the nights, after they are published."""

from __future__ import annotations

import logging

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.lake.arrow_start import start_arrow_without_pandas
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.monitoring.incidents.model_age import model_age_days
from nightjar.protocol.errors import ModelError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import ConfirmChampionResult, PublishScoresResult, ValidateScoresResult
from nightjar.protocol.scores import ScoringModel
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> ConfirmChampionResult:
    """Check which versions have scored, and record a fallback in the ledger.

    Raises:
        ModelError: when a fallback has scored: the night is served, but the model needs attention.
    """
    use_case = load_use_case(spec.use_case)
    published = earlier_result(spec, PublishScoresResult)
    scoring_models = published.scoring_models
    fallbacks = {
        variant: scoring_model
        for variant, scoring_model in scoring_models.items()
        if scoring_model.fallback_reason is not None
    }
    if not fallbacks:
        versions = {variant: scoring_model.version for variant, scoring_model in scoring_models.items()}
        log.info(
            "scored without fallback: %s",
            ", ".join(f"{variant} version {version}" for variant, version in versions.items()),
        )
        age = model_age_days(Lake(spec.lake), use_case.name, versions[CHAMPION], spec.last_night)
        metrics = {} if age is None else {"model_age_days": age}
        return ConfirmChampionResult(metrics=metrics, model_versions=versions)
    nights = spec.nights(use_case.schedule.timezone)
    reason = "; ".join(
        f"version {scoring_model.version} was the fallback on nights {nights}: {scoring_model.fallback_reason}"
        for scoring_model in fallbacks.values()
    )
    _record(spec, reason, next(iter(fallbacks.values())), published)
    parts = earlier_result(spec, ValidateScoresResult).parts
    raise ModelError(
        f"FALLBACK, scores are published: {reason}",
        where=use_case.score_table.name,
        how_many=sum(parts[variant].rows_out for variant in fallbacks),
        fix="repair or replace the model (docs/runbooks/fallback.md), then clear `score` of this run",
    )


def _record(spec: JobSpec, reason: str, scoring_model: ScoringModel, published: PublishScoresResult) -> None:
    """Record the fallback in the ledger once for each attempt, also when only this task is cleared."""
    lake = Lake(spec.lake)
    attempt = earlier_result(spec, ValidateScoresResult).attempt
    earlier = ledger.read_details(lake, event="fallback", dag_id=spec.dag_id, run_id=spec.run_id)
    if any(details.get("attempt") == attempt for details in earlier):
        return
    event = ledger.Event.of(
        spec,
        "fallback",
        reason=reason,
        model_version=scoring_model.version,
        table_versions=published.outputs,
        details={"sha256": scoring_model.sha256, "attempt": attempt},
    )
    ledger.record(lake, event)


if __name__ == "__main__":
    start_arrow_without_pandas()
    main(run)
