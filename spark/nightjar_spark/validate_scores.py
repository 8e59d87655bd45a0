"""Audit the scores that `score` has written and nobody reads yet."""

from __future__ import annotations

import logging
import time

from pyspark.sql import SparkSession

from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.use_case import load_use_case
from nightjar.lake.delta import DataFile
from nightjar.lake.results import earlier_result
from nightjar.scoring.audit import audit_scores
from nightjar_spark.main import main

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Check row count, keys, nulls, range, and the shift against the last published night.

    Raises:
        ContractError: when the scores must not be published.
        GateError: when there is nothing to look at.
    """
    began = time.monotonic()
    use_case = load_use_case(spec.use_case)
    scored = earlier_result(spec, "score")
    data_files = [DataFile(**file) for file in scored.values["files"]]
    audit = audit_scores(use_case, spec.lake, data_files, list(spec.nights(use_case.timezone)), scored.rows_out)
    log.info(
        "%d rows, mean prediction %.4f; last published night %s: %s",
        audit.rows, audit.mean_prediction, audit.last_night or "none", audit.last_mean,
    )  # fmt: skip
    return JobResult(
        status="succeeded",
        rows_in=scored.rows_out,
        rows_out=audit.rows,
        metrics={"mean_prediction": audit.mean_prediction},
        values={
            "score_fingerprint": scored.spec_fingerprint,
            "files": sorted(file.path for file in data_files),
            "last_night": str(audit.last_night or ""),
        },
        seconds={"audit": time.monotonic() - began},
    )


if __name__ == "__main__":
    main(run)
