"""Publish the audited scores: one commit that replaces exactly the run's nights."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from nightjar.contracts.errors import GateError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.nights import Nights
from nightjar.contracts.use_case import load_use_case
from nightjar.lake import delta, ledger
from nightjar.lake.delta import DataFile
from nightjar.lake.results import earlier_result, remember_published
from nightjar_spark.main import main

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Commit the files that `validate_scores` has looked at, and no others.

    Published again (a cleared task), the same attempt is in the table already: nothing is committed.

    Raises:
        GateError: when the audit saw other files than those to be published, or a later attempt has been published.
    """
    began = time.monotonic()
    use_case = load_use_case(spec.use_case)
    schema, nights = use_case.score_table, spec.nights(use_case.timezone)
    scored, audited = earlier_result(spec, "score"), earlier_result(spec, "validate_scores")
    data_files = [DataFile(**file) for file in scored.values["files"]]
    if sorted(file.path for file in data_files) != audited.values["files"]:
        raise GateError(
            "the audit has seen other files than those to be published",
            where=schema.name,
            how_many=len(data_files),
            fix="clear `validate_scores` of this run",
        )
    attempt = int(scored.values["attempt"])
    table = delta.ensure_table(spec.lake, schema)
    before = int(table.version())
    if _is_published(table, nights, attempt):
        version = before
    else:
        version = delta.commit(spec.lake, schema, data_files, nights, run_id=spec.run_id, attempt=attempt)
    remember_published(spec, scored)
    _record(spec, f"nights {nights}: {scored.rows_out} rows", attempt, scored, {schema.name: version})
    log.info("%s@%d %s nights %s", schema.name, version, "now holds" if version > before else "already holds", nights)
    return JobResult(
        status="succeeded",
        rows_in=scored.rows_out,
        rows_out=sum(file.rows for file in data_files),
        inputs=scored.inputs,
        outputs={schema.name: version},
        values={"committed": version > before, "model_version": scored.values["model_version"]},
        seconds={"publish": time.monotonic() - began},
    )


def _record(spec: JobSpec, reason: str, attempt: int, scored: JobResult, published: Mapping[str, int]) -> None:
    """To the ledger, once for each attempt, also when an earlier try died between the commit and here."""
    earlier = ledger.read(spec.lake, event="publish", dag_id=spec.dag_id, run_id=spec.run_id)["details"].to_pylist()
    if any(json.loads(details)["attempt"] == attempt for details in earlier):
        return
    event = ledger.Event.of(
        spec,
        "publish",
        reason=reason,
        model_version=scored.values["model_version"],
        table_versions={**scored.inputs, **published},
        details={"attempt": attempt},
    )
    ledger.record(spec.lake, event)


def _is_published(table: DeltaTable, nights: Nights, attempt: int) -> bool:
    """Whether this attempt is what the nights hold.

    Files that a later attempt has replaced must not come back: a Delta log that adds a path again after removing it
    is read differently by different readers.
    """
    last = [delta.last_attempt(table, night) for night in nights]
    later = sum(seen is not None and seen > attempt for seen in last)
    if later:
        raise GateError(
            "a later run has published these nights since they were scored here",
            where=table.table_uri,
            how_many=later,
            fix="keep what is published, or clear `score` of this run to score again",
        )
    return all(seen == attempt for seen in last)


if __name__ == "__main__":
    main(run)
