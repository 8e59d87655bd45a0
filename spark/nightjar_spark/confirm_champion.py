"""Fail, in plain sight, where another version than the one meant to has scored the nights; they are published."""

from __future__ import annotations

import logging

from pyspark.sql import SparkSession

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.lake.results import earlier_result
from nightjar.monitoring.incidents.model_age import model_age_days
from nightjar.protocol.errors import ModelError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.scoring.task import ScoringModel, parts_of
from nightjar_spark.main import main

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Look at who published, and write a fallback to the ledger.

    Raises:
        ModelError: when it was a version that stood in: the night is served, and a person has to look at the model.
    """
    use_case = load_use_case(spec.use_case)
    published = earlier_result(spec, "publish_scores")
    scoring_models = {
        variant: ScoringModel(**scoring_model) for variant, scoring_model in published.values["scoring_models"].items()
    }
    fallen = {
        variant: scoring_model
        for variant, scoring_model in scoring_models.items()
        if scoring_model.fallback_reason is not None
    }
    if not fallen:
        versions = {variant: scoring_model.version for variant, scoring_model in scoring_models.items()}
        log.info(
            "scored as meant: %s", ", ".join(f"{variant} version {version}" for variant, version in versions.items())
        )
        age = model_age_days(spec.lake, use_case.name, versions[CHAMPION], spec.last_night)
        metrics = {} if age is None else {"model_age_days": age}
        return JobResult(status="succeeded", metrics=metrics, values={"model_versions": versions})
    nights = spec.nights(use_case.timezone)
    reason = "; ".join(
        f"version {scoring_model.version} stood in on nights {nights}: {scoring_model.fallback_reason}"
        for scoring_model in fallen.values()
    )
    _record(spec, reason, next(iter(fallen.values())), published)
    parts = parts_of(earlier_result(spec, "validate_scores").values)
    raise ModelError(
        f"FALLBACK, scores are published: {reason}",
        where=use_case.score_table.name,
        how_many=sum(parts[variant].rows_out for variant in fallen),
        fix="mend or replace the model (docs/runbooks/fallback.md), then clear `score` of this run",
    )


def _record(spec: JobSpec, reason: str, scoring_model: ScoringModel, published: JobResult) -> None:
    """To the ledger, once for each attempt at the nights, also when this task alone is cleared."""
    attempt = int(earlier_result(spec, "validate_scores").values["attempt"])
    earlier = ledger.read_details(spec.lake, event="fallback", dag_id=spec.dag_id, run_id=spec.run_id)
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
    ledger.record(spec.lake, event)


if __name__ == "__main__":
    main(run)
