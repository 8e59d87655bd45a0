"""Score the nights' features with the champion and its challengers into unpublished files.

Spark tasks receive and return file names: pyarrow and the model's engine read, predict and write the rows, which never
cross into the JVM.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.lake.scan import Scan, scan
from nightjar.protocol.errors import RowCountError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import ScoreResult
from nightjar.scoring import choice, pins
from nightjar.scoring.choice import SelectedModels
from nightjar.scoring.features import Features, open_features
from nightjar.scoring.task import Scored, ScoringTask
from nightjar.scoring.unit import score_unit
from nightjar_spark.completions import complete
from nightjar_spark.main import main
from nightjar_spark.rows_done import RowsDone

log = logging.getLogger(__name__)
TASKS_PER_CORE = 4
"""Tasks per core, to balance load; a unit's files do not depend on the task that writes them."""


def run(spark: SparkSession, spec: JobSpec) -> ScoreResult:
    """Score the spec's nights with ``params.model_version``, or the champion (see :mod:`nightjar.scoring.choice`).

    Every attempt of a run uses the models and features of its first attempt, unless the run itself has rebuilt the
    features; ``params.force`` selects again.

    Raises:
        ModelError: when neither the champion nor a fallback can score.
        SourceError: when a night has no features.
    """
    use_case = load_use_case(spec.use_case)
    pinned = pins.pinned(spec)
    features = open_features(spec, use_case, pinned)
    with pins.drop_on_rejection(spec):
        models = choice.select_and_pin_models(spec, use_case, features, pinned)
        return score_nights(spark, spec, use_case, features, models)


def score_nights(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, features: Features, models: SelectedModels
) -> ScoreResult:
    """Score the nights with ``models``; the result names the unpublished files.

    Args:
        spark: The session.
        spec: Names the nights.
        use_case: The use case.
        features: The features of the nights.
        models: The scoring models of the variants, and the shadow.

    Raises:
        RowCountError: when rows were lost or added.
    """
    _log_models(models)
    nights = list(spec.nights(use_case.schedule.timezone))
    began = time.monotonic()
    planned = _plan(spec, use_case, features, nights)
    resolved = time.monotonic()
    scored = _score(spark, planned, _task(spec, use_case, features, models))
    scored = complete(spark, Lake(spec.lake), use_case, scored)
    seconds = {"resolve": resolved - began, "score": time.monotonic() - resolved}
    _check_counts(planned.rows, scored, use_case)
    outputs = _quarantine(spec, use_case, nights, scored)
    return ScoreResult(
        rows_in=scored.rows_in,
        rows_out=scored.rows_out,
        rows_rejected=scored.rows_rejected,
        inputs={use_case.feature_table.name: features.version},
        outputs=outputs,
        metrics={
            "rows_per_second": round(scored.rows_in / seconds["score"], 1),
            "worker_peak_mb": round(scored.peak_memory / 2**20, 1),
        },
        parts=scored.parts,
        feature_files=tuple(features.files),
        shadow=None if scored.shadow_error else models.shadow,
        shadow_files=scored.shadow_files,
        shadow_error=scored.shadow_error or models.shadow_error,
        attempt=time.time_ns() // 1_000_000,
        seconds=seconds,
    )


def _log_models(models: SelectedModels) -> None:
    for variant, scoring_model in models.scoring_models.items():
        log.info(
            "%s: model %s version %s, sha256 %s",
            variant,
            scoring_model.name,
            scoring_model.version,
            scoring_model.sha256[:12],
        )
    shadow = models.shadow
    log.info("shadow: %s", f"version {shadow.version}" if shadow else models.shadow_error or "none")


def _plan(spec: JobSpec, use_case: UseCase, features: Features, nights: Sequence[date]) -> Scan:
    """Return the units of the nights' feature files."""
    partitions = {"ds": [night.isoformat() for night in nights]}
    return scan(features.table, Lake(spec.lake).table(use_case.feature_table).uri, partitions)


def _task(spec: JobSpec, use_case: UseCase, features: Features, models: SelectedModels) -> ScoringTask:
    return ScoringTask(
        use_case=use_case.name,
        lake=Lake(spec.lake),
        scoring_models=models.scoring_models,
        shadow=models.shadow,
        features_version=features.version,
        run_id=spec.run_id,
        first_night=spec.first_night,
        last_night=spec.last_night,
    )


def _score(spark: SparkSession, planned: Scan, task: ScoringTask) -> Scored:
    """Run one Spark job in which Python workers read, predict and write every unit."""
    context = spark.sparkContext
    slices = min(len(planned.units), TASKS_PER_CORE * context.defaultParallelism)
    work = partial(score_unit, reader=planned.reader, task=task)
    with RowsDone(context, total=planned.rows) as done:
        count = done.counter

        def score_and_count(units: Iterable[Any]) -> Iterable[Scored]:
            for unit in units:
                scored = work(unit)
                count.add(scored.rows_in)
                yield scored

        parts = context.parallelize(planned.units, max(1, slices)).mapPartitions(score_and_count).collect()
    return Scored.merge(parts)


def _check_counts(expected: int, scored: Scored, use_case: UseCase) -> None:
    """Check that rows in the files = rows read = rows scored + rows rejected."""
    if not expected == scored.rows_in == scored.rows_out + scored.rows_rejected:
        raise RowCountError(
            f"the features have {expected} rows, {scored.rows_in} were read, {scored.rows_out} scored and "
            f"{scored.rows_rejected} rejected",
            where=use_case.score_table.name,
            how_many=max(abs(expected - scored.rows_in), abs(scored.rows_in - scored.rows_out - scored.rows_rejected)),
            fix="clear `score`; if it happens again, report a bug with this run's folder",
        )


def _quarantine(spec: JobSpec, use_case: UseCase, nights: Sequence[date], scored: Scored) -> dict[str, int]:
    """Replace the nights' rows in quarantine; commit nothing when there are neither old nor new ones."""
    table, within = Lake(spec.lake).table(use_case.quarantine_table), {"table_name": [use_case.feature_table.name]}
    held = {"ds": list(map(str, nights)), **within}
    has_old_rows = table.exists() and active_files(table.open(), held)
    if not has_old_rows and not scored.quarantined:
        return {}
    version = table.commit(scored.quarantined, nights, run_id=spec.run_id, within=within)
    return {table.schema.name: version}


if __name__ == "__main__":
    main(run)
