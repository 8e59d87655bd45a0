"""Audit the scores that `score` has written and nobody reads yet; where they fail, let another version score."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date

from pyspark.sql import SparkSession

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.results import earlier_result
from nightjar.protocol.errors import ContractError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.scoring import choice, pins
from nightjar.scoring.audit import Audit, audit_scores
from nightjar.scoring.task import ScoringModel, parts_of
from nightjar_spark.main import main
from nightjar_spark.score import Features, open_features, score_nights

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Check rejected rows, row count, keys, nulls, range, and the shift against the last published night, by variant.

    The result names the files that passed. Where the champion's scores fail, another version stands in; where a
    challenger's do, the champion. Nothing stands in for a version that a person asked for.

    Raises:
        ContractError: when the scores must not be published, nor those of any version that could stand in.
        GateError: when there is nothing to look at.
    """
    began = time.monotonic()
    use_case = load_use_case(spec.use_case)
    scored = earlier_result(spec, "score")
    with pins.dropped_on_refusal(spec):
        audits, refused = _audit(use_case, spec, scored)
        if refused:
            scored = _by_others(spark, spec, use_case, scored, refused)
            audits, refused = _audit(use_case, spec, scored)
        if refused:
            raise next(iter(refused.values()))
    rows = sum(audit.rows for audit in audits.values())
    for variant, audit in audits.items():
        log.info(
            "%s: %d rows, mean prediction %.4f; last published night %s: %s",
            variant, audit.rows, audit.mean_prediction, audit.last_night or "none", audit.last_mean,
        )  # fmt: skip
    return replace(
        scored,
        rows_in=scored.rows_out,
        rows_out=rows,
        rows_rejected=0,
        outputs={},
        metrics={"mean_prediction": math.fsum(one.mean_prediction * one.rows for one in audits.values()) / rows},
        seconds={"audit": time.monotonic() - began},
    )


def _audit(use_case: UseCase, spec: JobSpec, scored: JobResult) -> tuple[dict[str, Audit], dict[str, ContractError]]:
    """What each variant's audit has found, or why it was refused; a challenger without a row is not looked at.

    A night without any score is the champion's fault.
    """
    parts = parts_of(scored.values)
    nights = {
        variant: {date.fromisoformat(file.partition["ds"]) for file in part.files} for variant, part in parts.items()
    }
    nights[CHAMPION] |= set(spec.nights(use_case.timezone)).difference(*nights.values())
    audits, refused = {}, {}
    for variant, part in parts.items():
        if part.rows_in or nights[variant]:
            try:
                audits[variant] = audit_scores(use_case, spec.lake, part, nights[variant])
            except ContractError as error:
                refused[variant] = error
    return audits, refused


def _by_others(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, scored: JobResult, refused: Mapping[str, ContractError]
) -> JobResult:
    """The nights as scored by whoever is left: the stand-in for the champion, the champion for a challenger.

    Raises:
        ContractError: the champion's, when nobody may or can stand in for it.
    """
    before = pins.pinned(spec)
    pins.drop_unpublished(spec)
    features = open_features(spec, use_case, before)
    scoring_models = {variant: part.scoring_model for variant, part in parts_of(scored.values).items()}
    models = {scoring_models[variant].sha256 for variant in refused}
    if scoring_models[CHAMPION].sha256 in models:
        scoring_models[CHAMPION] = _select_fallback(
            spec, use_case, features, scoring_models[CHAMPION], before, models, refused
        )
    for variant, scoring_model in scoring_models.items():
        if variant != CHAMPION and scoring_model.sha256 in models:
            why = refused[variant].what if variant in refused else f"version {scoring_model.version} is refused"
            scoring_models[variant] = choice.replace_challenger(variant, scoring_models[CHAMPION], why)
    return score_nights(spark, spec, use_case, features, scoring_models)


def _select_fallback(
    spec: JobSpec,
    use_case: UseCase,
    features: Features,
    champion: ScoringModel,
    before: pins.Pins | None,
    models: Collection[str],
    refused: Mapping[str, ContractError],
) -> ScoringModel:
    error = refused.get(CHAMPION) or next(iter(refused.values()))
    log.warning("version %s: %s", champion.version, error.what)
    if champion.fallback_reason is None and choice.allows_fallback(spec, before):
        reason = f"version {champion.version}: {error.what}"
        found = choice.select_fallback(spec.lake, use_case, features.schema, reason=reason, without=models)
        if found is not None:
            return found
    raise error


if __name__ == "__main__":
    main(run)
