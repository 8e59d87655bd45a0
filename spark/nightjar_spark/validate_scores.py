"""Audit the unpublished scores of `score`; if they fail, score with a fallback."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Mapping
from datetime import date

from pyspark.sql import SparkSession

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.protocol.errors import ContractError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import ScoreResult, ValidateScoresResult
from nightjar.protocol.scores import ScoringModel
from nightjar.scoring import choice, pins
from nightjar.scoring.audit import Audit, audit_scores
from nightjar.scoring.choice import SelectedModels
from nightjar.scoring.features import Features, open_features
from nightjar_spark.main import main
from nightjar_spark.score import score_nights

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> ValidateScoresResult:
    """Audit each variant: rejected rows, row count, keys, nulls, range, and shift against the last published night.

    The result names the files that passed. If the champion's scores fail, its fallback scores; if a challenger's fail,
    the champion. A requested version has no fallback.

    Raises:
        ContractError: when neither the scores nor those of a fallback pass.
        GateError: without scores to audit.
    """
    began = time.monotonic()
    use_case = load_use_case(spec.use_case)
    scored = earlier_result(spec, ScoreResult)
    with pins.drop_on_rejection(spec):
        audits, refused = _audit(use_case, spec, scored)
        if refused:
            scored = _score_with_fallbacks(spark, spec, use_case, scored, refused)
            audits, refused = _audit(use_case, spec, scored)
        if refused:
            raise next(iter(refused.values()))
    rows = sum(audit.rows for audit in audits.values())
    for variant, audit in audits.items():
        log.info(
            "%s: %d rows, means %s; last published night %s: %s",
            variant, audit.rows, _formatted(audit.means), audit.last_night or "none", _formatted(audit.last_means),
        )  # fmt: skip
    return ValidateScoresResult(
        rows_in=scored.rows_out,
        rows_out=rows,
        inputs=scored.inputs,
        parts=scored.parts,
        feature_files=scored.feature_files,
        shadow=scored.shadow,
        shadow_files=scored.shadow_files,
        shadow_error=scored.shadow_error,
        attempt=scored.attempt,
        metrics={
            f"mean_{name}": math.fsum(audit.means[name] * audit.rows for audit in audits.values()) / rows
            for name in audits[CHAMPION].means
        },
        seconds={"audit": time.monotonic() - began},
    )


def _formatted(means: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {mean:.4f}" for name, mean in means.items()) or "none"


def _audit(use_case: UseCase, spec: JobSpec, scored: ScoreResult) -> tuple[dict[str, Audit], dict[str, ContractError]]:
    """Return the audits of variants that passed, and the errors of those that failed.

    A challenger without rows is not audited. A night without scores counts as a failure of the champion.
    """
    lake, parts = Lake(spec.lake), scored.parts
    nights = {
        variant: {date.fromisoformat(file.partition["ds"]) for file in part.files} for variant, part in parts.items()
    }
    nights[CHAMPION] |= set(spec.nights(use_case.schedule.timezone)).difference(*nights.values())
    audits, refused = {}, {}
    for variant, part in parts.items():
        if part.rows_in or nights[variant]:
            try:
                audits[variant] = audit_scores(use_case, lake, part, nights[variant])
            except ContractError as error:
                refused[variant] = error
    return audits, refused


def _score_with_fallbacks(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, scored: ScoreResult, refused: Mapping[str, ContractError]
) -> ScoreResult:
    """Score again with fallbacks: another version for the champion, the champion for a challenger.

    Raises:
        ContractError: the champion's error, when it has no fallback.
    """
    pinned = pins.pinned(spec)
    pins.drop_unpublished(spec)
    features = open_features(spec, use_case, pinned)
    models = _replace_refused(spec, use_case, features, pinned, scored, refused)
    return score_nights(spark, spec, use_case, features, models)


def _replace_refused(
    spec: JobSpec,
    use_case: UseCase,
    features: Features,
    pinned: pins.Pins | None,
    scored: ScoreResult,
    refused: Mapping[str, ContractError],
) -> SelectedModels:
    """Return the models that scored, with fallbacks for each variant whose model was refused."""
    scoring_models = {variant: part.scoring_model for variant, part in scored.parts.items()}
    refused_models = {scoring_models[variant].sha256 for variant in refused}
    if scoring_models[CHAMPION].sha256 in refused_models:
        scoring_models[CHAMPION] = _select_fallback(
            spec, use_case, features, scoring_models[CHAMPION], pinned, refused_models, refused
        )
    for variant, scoring_model in scoring_models.items():
        if variant != CHAMPION and scoring_model.sha256 in refused_models:
            reason = refused[variant].what if variant in refused else f"version {scoring_model.version} is refused"
            scoring_models[variant] = choice.replace_challenger(variant, scoring_models[CHAMPION], reason)
    return choice.add_shadow(Lake(spec.lake), use_case, features.schema, scoring_models)


def _select_fallback(
    spec: JobSpec,
    use_case: UseCase,
    features: Features,
    champion: ScoringModel,
    pinned: pins.Pins | None,
    refused_models: Collection[str],
    refused: Mapping[str, ContractError],
) -> ScoringModel:
    """Return the champion's fallback; raise the champion's error when it has none."""
    error = refused.get(CHAMPION) or next(iter(refused.values()))
    log.warning("version %s: %s", champion.version, error.what)
    if champion.fallback_reason is None and choice.allows_fallback(spec, pinned):
        reason = f"version {champion.version}: {error.what}"
        fallback = choice.select_fallback(
            Lake(spec.lake), use_case, features.schema, reason=reason, without=refused_models
        )
        if fallback is not None:
            return fallback
    raise error


if __name__ == "__main__":
    main(run)
