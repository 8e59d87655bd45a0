"""Score the nights' features with the champion, into files that no reader sees yet."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession

from nightjar.contracts.errors import ContractError, RowCountError, SourceError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.nights import first_few
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.lake import delta
from nightjar.lake.delta import DataFile
from nightjar.lake.results import published_by_this_run
from nightjar.registry.models import resolve, ship
from nightjar.scoring.batches import ScoringTask, score_batches
from nightjar_spark.io import read_table, replace_nights
from nightjar_spark.main import main

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
QUARANTINE_FIELDS = "ds string, table string, rules array<string>, row string, dag_run_id string"


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Score the spec's nights with ``params.model_version``, or the champion.

    A run that has published and is cleared scores with the model that it published, so that a rerun gives the same rows
    whoever is champion by now; ``params.force`` chooses anew.

    Raises:
        ModelError: when there is no champion, or it does not fit the features.
        SourceError: when a night has no features.
        ContractError: when the model cannot take too many rows.
    """
    began = time.monotonic()
    use_case = load_use_case(spec.use_case)
    nights = list(spec.nights(use_case.timezone))
    earlier = published_by_this_run(spec)
    version = resolve(use_case.name, spec.params.get("model_version") or earlier.get("model_version"))
    model, folder = ship(version, spec.lake)
    log.info("model %s version %s, sha256 %s", version.name, version.version, model.sha256[:12])
    resolved = time.monotonic()

    features_version, night_files = _features_version(spec, use_case, nights, earlier)
    features = read_table(spark, spec.lake, use_case.feature_table.name, nights=nights, version=features_version)
    task = ScoringTask(
        use_case=use_case.name,
        lake=spec.lake,
        model_folder=folder,
        model_sha256=model.sha256,
        model_name=version.name,
        model_version=str(version.version),
        features_version=features_version,
        run_id=spec.run_id,
        first_night=spec.first_night,
        last_night=spec.last_night,
    )
    written, rows_in, rejected = _score(features, use_case, task)
    rows_out = sum(file.rows for file in written)
    if rows_in != rows_out + len(rejected):
        raise RowCountError(
            f"{rows_in} rows in, but {rows_out} scored and {len(rejected)} rejected",
            where=use_case.score_table.name,
            how_many=rows_in - rows_out - len(rejected),
            fix="clear `score`; if it happens again, report a bug with this run's folder",
        )
    outputs = _quarantine(spark, use_case, spec, rejected)
    if len(rejected) > use_case.audit.max_rejected_share * rows_in:
        raise ContractError(
            f"the model cannot take {len(rejected)} of {rows_in} rows (allowed share "
            f"{use_case.audit.max_rejected_share})",
            where=use_case.feature_table.name,
            how_many=len(rejected),
            fix=f"look at {use_case.quarantine_table.name} for the inputs, mend the features, clear `build_features`",
        )
    return JobResult(
        status="succeeded",
        rows_in=rows_in,
        rows_out=rows_out,
        rows_rejected=len(rejected),
        inputs={use_case.feature_table.name: features_version},
        outputs=outputs,
        values={
            "files": [asdict(file) for file in written],
            "model_name": version.name,
            "model_version": str(version.version),
            "model_sha256": model.sha256,
            "model_folder": folder,
            "features_version": features_version,
            "feature_files": night_files,
            "attempt": time.time_ns() // 1_000_000,
        },
        seconds={"resolve": resolved - began, "score": time.monotonic() - resolved},
    )


def _features_version(
    spec: JobSpec, use_case: UseCase, nights: Sequence[date], earlier: Mapping[str, Any]
) -> tuple[int, list[str]]:
    """The version to read, and the files of the nights in it.

    The table moves on with every later night; while these nights' files are those of what the run has published, the
    version stays the one that it named then.

    Raises:
        SourceError: naming the nights that have no features.
    """
    name = use_case.feature_table.name
    table = delta.open_table(spec.lake, name)
    held = delta.held_files(table, {"ds": [night.isoformat() for night in nights]})
    there = {file.partition["ds"] for file in held}
    if empty := [night for night in nights if night.isoformat() not in there]:
        raise SourceError(
            f"there are no features of {first_few(empty)}",
            where=name,
            how_many=len(empty),
            fix="clear `ingest` of these nights, or check what landed",
        )
    paths = sorted(file.path for file in held)
    if earlier.get("feature_files") == paths:
        return int(earlier["features_version"]), paths
    return int(table.version()), paths


def _score(
    features: DataFrame, use_case: UseCase, task: ScoringTask
) -> tuple[list[DataFile], int, list[dict[str, Any]]]:
    """One Spark job: rows go to Python by Arrow, only file names, counts and rejected rows come back."""

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        scored = score_batches(batches, task)
        outcome = {
            "files": [asdict(file) for file in scored.files],
            "rows_in": scored.rows_in,
            "rejected": list(scored.rejected),
        }
        yield pa.RecordBatch.from_pydict({"outcome": [json.dumps(outcome)]})

    columns = list(dict.fromkeys(("ds", *use_case.feature_table.column_names)))
    # A night is sorted by its key, so that the same rows make the same files.
    ordered = features.select(*columns).hint("rebalance", "ds").sortWithinPartitions("ds", *use_case.key)
    outcomes = [json.loads(row["outcome"]) for row in ordered.mapInArrow(score, "outcome string").collect()]
    written = [DataFile(**file) for outcome in outcomes for file in outcome["files"]]
    rejected = [row for outcome in outcomes for row in outcome["rejected"]]
    return written, sum(outcome["rows_in"] for outcome in outcomes), rejected


def _quarantine(
    spark: SparkSession, use_case: UseCase, spec: JobSpec, rejected: list[dict[str, Any]]
) -> dict[str, int]:
    """Replace the nights' rows rejected by scoring; nothing is written when there are none, and were none before."""
    schema, origin = use_case.quarantine_table, use_case.feature_table.name
    nights = spec.nights(use_case.timezone)
    if not rejected and not _has_rejected(spec.lake, use_case, list(map(str, nights))):
        return {}
    frame = spark.createDataFrame([tuple(row.values()) for row in rejected], QUARANTINE_FIELDS)
    written = replace_nights(frame, spec.lake, schema, nights, run_id=spec.run_id, within={"table": [origin]})
    return {schema.name: written.version}


def _has_rejected(lake: str, use_case: UseCase, nights: list[str]) -> bool:
    name = use_case.quarantine_table.name
    return delta.table_exists(lake, name) and any(
        partition["table"] == use_case.feature_table.name and partition["ds"] in nights
        for partition in delta.open_table(lake, name).partitions()
    )


if __name__ == "__main__":
    main(run)
