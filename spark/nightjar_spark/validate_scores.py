"""Audit the scores that `score` has written and nobody reads yet; where they fail, let another version score."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import pyarrow as pa
from pyspark.sql import SparkSession

from nightjar.contracts.errors import ContractError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.lake.results import earlier_result
from nightjar.scoring import choice
from nightjar.scoring.audit import Audit, audit_scores
from nightjar.scoring.task import Speaker, data_files
from nightjar_spark.main import main
from nightjar_spark.score import open_features, score_nights

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Check row count, keys, nulls, range, and the shift against the last published night.

    The result names the files that passed: those of `score`, or those of the version that stands in when the champion's
    scores fail. Nothing stands in for a version that a person asked for.

    Raises:
        ContractError: when the scores must not be published, nor those of any version that could stand in.
        GateError: when there is nothing to look at.
    """
    began = time.monotonic()
    use_case = load_use_case(spec.use_case)
    scored = earlier_result(spec, "score")
    try:
        audit = _audit(use_case, spec, scored)
    except ContractError as error:
        scored = _by_another(spark, spec, use_case, scored, error)
        audit = _audit(use_case, spec, scored)
    log.info(
        "%d rows, mean prediction %.4f; last published night %s: %s",
        audit.rows, audit.mean_prediction, audit.last_night or "none", audit.last_mean,
    )  # fmt: skip
    return replace(
        scored,
        rows_in=scored.rows_out,
        rows_out=audit.rows,
        rows_rejected=0,
        outputs={},
        metrics={"mean_prediction": audit.mean_prediction},
        values={**scored.values, "last_night": str(audit.last_night or "")},
        seconds={"audit": time.monotonic() - began},
    )


def _audit(use_case: UseCase, spec: JobSpec, scored: JobResult) -> Audit:
    written = data_files(scored.values["files"])
    return audit_scores(use_case, spec.lake, written, list(spec.nights(use_case.timezone)), scored.rows_out)


def _by_another(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, scored: JobResult, refused: ContractError
) -> JobResult:
    """The nights as scored by the version that stands in.

    Raises:
        ContractError: the given one, when there is no such version.
    """
    speaker = Speaker(**scored.values["speaker"])
    if not choice.may_fall_back(spec, speaker):
        raise refused
    log.warning("version %s: %s", speaker.version, refused.what)
    features = open_features(spec, use_case)
    schema = pa.schema(features.schema().to_arrow())
    reason = f"version {speaker.version}: {refused.what}"
    other = choice.stand_in(spec.lake, use_case, schema, reason=reason, without={speaker.sha256})
    if other is None:
        raise refused
    return score_nights(spark, spec, use_case, features, other)


if __name__ == "__main__":
    main(run)
