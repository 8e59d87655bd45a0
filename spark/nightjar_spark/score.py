"""Score the nights' features with the champion and its challengers into unpublished files.

Spark tasks receive and return file names: pyarrow and the model's engine read, predict and write the rows, which never
cross into the JVM.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import files
from nightjar.lake.held_files import held_files
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.lake.scan import Scan, scan
from nightjar.protocol.errors import GateError, LakeError, RowCountError, SourceError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import first_few
from nightjar.protocol.results import BuildFeaturesResult, ScoreResult
from nightjar.protocol.scores import ScoringModel
from nightjar.scoring import choice, pins
from nightjar.scoring.task import Scored, ScoringTask
from nightjar.scoring.unit import score_unit
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
    with pins.dropped_on_refusal(spec):
        scoring_models = choice.select_scoring_models(spec, use_case, features.schema, pinned)
        versions = pins.versions_of(scoring_models)
        chosen = pins.Pins(
            versions=versions,
            features_version=features.version,
            feature_files=features.files,
            published=pinned is not None and pinned.published and pinned.versions == versions,
        )
        if chosen != pinned:
            pins.keep(spec, chosen)
        return score_nights(spark, spec, use_case, features, scoring_models)


@dataclass(frozen=True, kw_only=True)
class Features:
    """The features of the nights.

    Attributes:
        table: The feature table at the version to read.
        version: The version written to the rows. It stays that of the first attempt while the nights have the same
            files, although later nights advance the table.
        files: The nights' files, as paths in the log.
    """

    table: DeltaTable
    version: int
    files: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the feature table."""
        return pa.schema(self.table.schema().to_arrow())


def open_features(spec: JobSpec, use_case: UseCase, pinned: pins.Pins | None) -> Features:
    """Open the features that the run's first attempt has read, or the current ones.

    Args:
        spec: Names the nights.
        use_case: Names the table.
        pinned: Selection of the run's first attempt; None at the first attempt.

    Raises:
        SourceError: naming nights without features, or when the pinned features no longer exist.
    """
    lake = Lake(spec.lake)
    name, nights = use_case.feature_table.name, list(spec.nights(use_case.schedule.timezone))
    current = lake.open_table(name)
    held = held_files(current, {"ds": [night.isoformat() for night in nights]})
    paths = tuple(sorted(file.path for file in held))
    if pinned and paths == pinned.feature_files and not any(len(file.deleted) for file in held):
        return Features(table=current, version=pinned.features_version, files=paths)
    if pinned and _built_by_this_run(spec, name) <= pinned.features_version:
        log.info("%s has newer features of these nights; version %d is read", name, pinned.features_version)
        return _as_of(lake, name, pinned)
    present = {file.partition["ds"] for file in held}
    if empty := [night for night in nights if night.isoformat() not in present]:
        raise SourceError(
            f"there are no features of {first_few(empty)}",
            where=name,
            how_many=len(empty),
            fix="clear `ingest` of these nights, or check the landed files",
        )
    return Features(table=current, version=int(current.version()), files=paths)


def _as_of(lake: Lake, name: str, pinned: pins.Pins) -> Features:
    """Open the features of the first attempt."""
    uri = lake.table_uri(name)
    lost = [path for path in pinned.feature_files if not files.exists(files.contained(uri, path))]
    try:
        if not lost:
            table = lake.open_table(name, pinned.features_version)
            return Features(table=table, version=pinned.features_version, files=pinned.feature_files)
    except LakeError as error:
        log.warning("%s", error)
    raise SourceError(
        f"the features that the run's first attempt has read (version {pinned.features_version}) no longer exist",
        where=name,
        how_many=len(lost),
        fix="clear `build_features` of this run to build them again, or rerun the nights with the param force",
    )


def _built_by_this_run(spec: JobSpec, name: str) -> int:
    """Return the feature table's version after this run's own `build_features`; -1 when it has not run."""
    try:
        return int(earlier_result(spec, BuildFeaturesResult).outputs[name])
    except GateError:
        return -1


def score_nights(
    spark: SparkSession,
    spec: JobSpec,
    use_case: UseCase,
    features: Features,
    scoring_models: Mapping[str, ScoringModel],
) -> ScoreResult:
    """Score the nights with ``scoring_models``; the result names the unpublished files.

    Args:
        spark: The session.
        spec: Names the nights.
        use_case: The use case.
        features: The features of the nights.
        scoring_models: Variant to scoring model; only the champion's without an experiment.

    Raises:
        RowCountError: when rows were lost or added.
    """
    lake = Lake(spec.lake)
    began = time.monotonic()
    nights = list(spec.nights(use_case.schedule.timezone))
    champion = scoring_models[CHAMPION]
    shadow, no_shadow = choice.shadow(lake, use_case, features.schema, champion)
    for variant, scoring_model in scoring_models.items():
        log.info(
            "%s: model %s version %s, sha256 %s",
            variant,
            scoring_model.name,
            scoring_model.version,
            scoring_model.sha256[:12],
        )
    log.info("shadow: %s", f"version {shadow.version}" if shadow else no_shadow or "none")
    task = ScoringTask(
        use_case=use_case.name,
        lake=lake,
        scoring_models=scoring_models,
        shadow=shadow,
        features_version=features.version,
        run_id=spec.run_id,
        first_night=spec.first_night,
        last_night=spec.last_night,
    )
    partitions = {"ds": [night.isoformat() for night in nights]}
    planned = scan(features.table, lake.table(use_case.feature_table).uri, partitions)
    resolved = time.monotonic()
    scored = _score(spark, planned, task)
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
        shadow=None if scored.shadow_error else shadow,
        shadow_files=scored.shadow_files,
        shadow_error=scored.shadow_error or no_shadow,
        attempt=time.time_ns() // 1_000_000,
        seconds=seconds,
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
    has_old_rows = table.exists() and held_files(table.open(), held)
    if not has_old_rows and not scored.quarantined:
        return {}
    version = table.commit(scored.quarantined, nights, run_id=spec.run_id, within=within)
    return {table.schema.name: version}


if __name__ == "__main__":
    main(run)
