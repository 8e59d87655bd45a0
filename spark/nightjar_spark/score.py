"""Score the nights' features with the champion, into files that no reader sees yet.

Spark's tasks get file names and give file names back: rows are read, predicted and written by pyarrow and the model's
engine, and none crosses into the JVM.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from nightjar.contracts.errors import ContractError, RowCountError, SourceError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.nights import first_few
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.lake import delta
from nightjar.lake.delta import table_uri
from nightjar.lake.results import published_by_this_run
from nightjar.lake.scan import Scan, scan
from nightjar.scoring import choice
from nightjar.scoring.task import Scored, ScoringTask, Speaker
from nightjar.scoring.unit import score_unit
from nightjar_spark.main import main
from nightjar_spark.rows_done import RowsDone

log = logging.getLogger(__name__)
TASKS_PER_CORE = 4
"""So that cores which are done early find more to do; a unit's files do not depend on which task writes them."""


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Score the spec's nights with ``params.model_version``, or the champion (see :mod:`nightjar.scoring.choice`).

    A run that has published and is cleared scores with the model that it published, so that a rerun gives the same rows
    whoever is champion by now; ``params.force`` chooses anew.

    Raises:
        ModelError: when neither the champion nor another version can score.
        SourceError: when a night has no features.
        ContractError: when the model cannot take too many rows.
    """
    use_case = load_use_case(spec.use_case)
    features = open_features(spec, use_case)
    speaker = choice.choose(spec, use_case, pa.schema(features.schema().to_arrow()))
    return score_nights(spark, spec, use_case, features, speaker)


def open_features(spec: JobSpec, use_case: UseCase) -> DeltaTable:
    """The feature table, at its version of now.

    Raises:
        SourceError: naming the nights that have no features.
    """
    table = delta.open_table(spec.lake, use_case.feature_table.name)
    nights = list(spec.nights(use_case.timezone))
    there = {file.partition["ds"] for file in delta.held_files(table, {"ds": list(map(str, nights))})}
    if empty := [night for night in nights if night.isoformat() not in there]:
        raise SourceError(
            f"there are no features of {first_few(empty)}",
            where=use_case.feature_table.name,
            how_many=len(empty),
            fix="clear `ingest` of these nights, or check what landed",
        )
    return table


def score_nights(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, features: DeltaTable, speaker: Speaker
) -> JobResult:
    """Let ``speaker`` score the nights; the result names the unpublished files.

    Raises:
        ContractError: when the model cannot take too many rows.
        RowCountError: when rows have come or gone.
    """
    began = time.monotonic()
    nights = list(spec.nights(use_case.timezone))
    shadow, no_shadow = choice.shadow(spec, use_case, pa.schema(features.schema().to_arrow()), speaker)
    who = f"model {speaker.name} version {speaker.version}, sha256 {speaker.sha256[:12]}"
    log.info("%s; shadow: %s", who, f"version {shadow.version}" if shadow else no_shadow or "none")
    version, night_files = _pinned(features, nights, published_by_this_run(spec))
    task = ScoringTask(
        use_case=use_case.name,
        lake=spec.lake,
        speaker=speaker,
        shadow=shadow,
        features_version=version,
        run_id=spec.run_id,
        first_night=spec.first_night,
        last_night=spec.last_night,
    )
    wanted = {"ds": [night.isoformat() for night in nights]}
    planned = scan(features, table_uri(spec.lake, use_case.feature_table.name), wanted)
    resolved = time.monotonic()
    scored = _score(spark, planned, task)
    seconds = {"resolve": resolved - began, "score": time.monotonic() - resolved}
    _check_counts(planned.rows, scored, use_case)
    outputs = _quarantine(spec, use_case, nights, scored)
    if scored.rows_rejected > use_case.audit.max_rejected_share * scored.rows_in:
        raise ContractError(
            f"the model cannot take {scored.rows_rejected} of {scored.rows_in} rows (allowed share "
            f"{use_case.audit.max_rejected_share})",
            where=use_case.feature_table.name,
            how_many=scored.rows_rejected,
            fix=f"look at {use_case.quarantine_table.name} for the inputs, mend the features, clear `build_features`",
        )
    return JobResult(
        status="succeeded",
        rows_in=scored.rows_in,
        rows_out=scored.rows_out,
        rows_rejected=scored.rows_rejected,
        inputs={use_case.feature_table.name: version},
        outputs=outputs,
        metrics={
            "rows_per_second": round(scored.rows_in / seconds["score"], 1),
            "worker_peak_mb": round(scored.peak_memory / 2**20, 1),
        },
        values={
            "files": [file.to_dict() for file in scored.files],
            "speaker": speaker.to_dict(),
            "shadow": shadow.to_dict() if shadow and not scored.shadow_error else None,
            "shadow_files": [file.to_dict() for file in scored.shadow_files],
            "shadow_error": scored.shadow_error or no_shadow,
            "features_version": version,
            "feature_files": night_files,
            "attempt": time.time_ns() // 1_000_000,
        },
        seconds=seconds,
    )


def _pinned(features: DeltaTable, nights: Sequence[date], earlier: Mapping[str, Any]) -> tuple[int, list[str]]:
    """The version that the rows are to name, and the files of the nights in it.

    The table moves on with every later night; while these nights' files are those of what the run has published, the
    version stays the one that it named then.
    """
    paths = sorted(file.path for file in delta.held_files(features, {"ds": list(map(str, nights))}))
    same = earlier.get("feature_files") == paths
    return int(earlier["features_version"]) if same else int(features.version()), paths


def _score(spark: SparkSession, planned: Scan, task: ScoringTask) -> Scored:
    """One Spark job: every unit is read, predicted and written by a Python worker."""
    context = spark.sparkContext
    slices = min(len(planned.units), TASKS_PER_CORE * context.defaultParallelism)
    work = partial(score_unit, reader=planned.reader, task=task)
    with RowsDone(context, total=planned.rows) as done:
        count = done.counter

        def scored_and_counted(units: Iterable[Any]) -> Iterable[Scored]:
            for unit in units:
                scored = work(unit)
                count.add(scored.rows_in)
                yield scored

        parts = context.parallelize(planned.units, max(1, slices)).mapPartitions(scored_and_counted).collect()
    return Scored.together(parts)


def _check_counts(expected: int, scored: Scored, use_case: UseCase) -> None:
    """Rows held by the files = rows read = rows scored + rows rejected."""
    if not expected == scored.rows_in == scored.rows_out + scored.rows_rejected:
        raise RowCountError(
            f"the features hold {expected} rows, {scored.rows_in} were read, {scored.rows_out} scored and "
            f"{scored.rows_rejected} rejected",
            where=use_case.score_table.name,
            how_many=max(abs(expected - scored.rows_in), abs(scored.rows_in - scored.rows_out - scored.rows_rejected)),
            fix="clear `score`; if it happens again, report a bug with this run's folder",
        )


def _quarantine(spec: JobSpec, use_case: UseCase, nights: Sequence[date], scored: Scored) -> dict[str, int]:
    """Replace the nights' rows rejected by scoring; nothing is written when there are none, and were none before."""
    schema, within = use_case.quarantine_table, {"table": [use_case.feature_table.name]}
    held = {"ds": list(map(str, nights)), **within}
    before = delta.table_exists(spec.lake, schema.name) and delta.held_files(
        delta.open_table(spec.lake, schema.name), held
    )
    if not before and not scored.quarantined:
        return {}
    version = delta.commit(spec.lake, schema, scored.quarantined, nights, run_id=spec.run_id, within=within)
    return {schema.name: version}


if __name__ == "__main__":
    main(run)
