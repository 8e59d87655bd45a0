"""Score the nights' features with the champion and its challengers, into files that no reader sees yet.

Spark's tasks get file names and give file names back: rows are read, predicted and written by pyarrow and the model's
engine, and none crosses into the JVM.
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
from nightjar.lake import delta, files
from nightjar.lake.delta import table_uri
from nightjar.lake.held_files import held_files
from nightjar.lake.results import earlier_result
from nightjar.lake.scan import Scan, scan
from nightjar.protocol.errors import GateError, LakeError, RowCountError, SourceError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.nights import first_few
from nightjar.scoring import choice, pins
from nightjar.scoring.task import Scored, ScoringModel, ScoringTask
from nightjar.scoring.unit import score_unit
from nightjar_spark.main import main
from nightjar_spark.rows_done import RowsDone

log = logging.getLogger(__name__)
TASKS_PER_CORE = 4
"""So that cores which are done early find more to do; a unit's files do not depend on which task writes them."""


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Score the spec's nights with ``params.model_version``, or the champion (see :mod:`nightjar.scoring.choice`).

    Every attempt of a run takes the models and the features of the first one, whoever is champion and whatever has
    become of the features by now, unless this run has built them again itself; ``params.force`` chooses anew.

    Raises:
        ModelError: when neither the champion nor another version can score.
        SourceError: when a night has no features.
    """
    use_case = load_use_case(spec.use_case)
    before = pins.pinned(spec)
    features = open_features(spec, use_case, before)
    with pins.dropped_on_refusal(spec):
        scoring_models = choice.select_scoring_models(spec, use_case, features.schema, before)
        versions = pins.versions_of(scoring_models)
        chosen = pins.Pins(
            versions=versions,
            features_version=features.version,
            feature_files=features.files,
            published=before is not None and before.published and before.versions == versions,
        )
        if chosen != before:
            pins.keep(spec, chosen)
        return score_nights(spark, spec, use_case, features, scoring_models)


@dataclass(frozen=True, kw_only=True)
class Features:
    """What is read.

    Attributes:
        table: The feature table, at the version that is read.
        version: The one that the rows name: the table moves on with every later night, and while a run's nights have
            the same files, so do its attempts name the same version.
        files: The nights' files, by their paths in the log.
    """

    table: DeltaTable
    version: int
    files: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(self.table.schema().to_arrow())


def open_features(spec: JobSpec, use_case: UseCase, before: pins.Pins | None) -> Features:
    """The features as the run's first attempt has read them, or as they are now.

    Args:
        spec: Names the nights.
        use_case: Names the table.
        before: What the run has chosen before.

    Raises:
        SourceError: naming the nights that have no features, or when those chosen before are gone.
    """
    name, nights = use_case.feature_table.name, list(spec.nights(use_case.timezone))
    now = delta.open_table(spec.lake, name)
    held = held_files(now, {"ds": [night.isoformat() for night in nights]})
    paths = tuple(sorted(file.path for file in held))
    if before and paths == before.feature_files and not any(len(file.deleted) for file in held):
        return Features(table=now, version=before.features_version, files=paths)
    if before and _built_by_this_run(spec, name) <= before.features_version:
        log.info("%s has other features of these nights by now; read is version %d", name, before.features_version)
        return _as_of(spec, name, before)
    there = {file.partition["ds"] for file in held}
    if empty := [night for night in nights if night.isoformat() not in there]:
        raise SourceError(
            f"there are no features of {first_few(empty)}",
            where=name,
            how_many=len(empty),
            fix="clear `ingest` of these nights, or check what landed",
        )
    return Features(table=now, version=int(now.version()), files=paths)


def _as_of(spec: JobSpec, name: str, before: pins.Pins) -> Features:
    """The features as the first attempt has read them."""
    uri = table_uri(spec.lake, name)
    lost = [path for path in before.feature_files if not files.exists(files.contained(uri, path))]
    try:
        if not lost:
            table = delta.open_table(spec.lake, name, before.features_version)
            return Features(table=table, version=before.features_version, files=before.feature_files)
    except LakeError as error:
        log.warning("%s", error)
    raise SourceError(
        f"the features that the run's first attempt has read (version {before.features_version}) are gone",
        where=name,
        how_many=len(lost),
        fix="clear `build_features` of this run to make them again, or run the nights anew with the param force",
    )


def _built_by_this_run(spec: JobSpec, name: str) -> int:
    """The version of the feature table that this run's own `build_features` has left; -1 when it has left none."""
    try:
        return int(earlier_result(spec, "build_features").outputs[name])
    except GateError:
        return -1


def score_nights(
    spark: SparkSession,
    spec: JobSpec,
    use_case: UseCase,
    features: Features,
    scoring_models: Mapping[str, ScoringModel],
) -> JobResult:
    """Let ``scoring_models`` score the nights; the result names the unpublished files.

    Args:
        spark: Does the work.
        spec: Names the nights.
        use_case: What is predicted.
        features: What is read.
        scoring_models: By variant; without an experiment, the champion's alone.

    Raises:
        RowCountError: when rows have come or gone.
    """
    began = time.monotonic()
    nights = list(spec.nights(use_case.timezone))
    champion = scoring_models[CHAMPION]
    shadow, no_shadow = choice.shadow(spec, use_case, features.schema, champion)
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
        lake=spec.lake,
        scoring_models=scoring_models,
        shadow=shadow,
        features_version=features.version,
        run_id=spec.run_id,
        first_night=spec.first_night,
        last_night=spec.last_night,
    )
    wanted = {"ds": [night.isoformat() for night in nights]}
    planned = scan(features.table, table_uri(spec.lake, use_case.feature_table.name), wanted)
    resolved = time.monotonic()
    scored = _score(spark, planned, task)
    seconds = {"resolve": resolved - began, "score": time.monotonic() - resolved}
    _check_counts(planned.rows, scored, use_case)
    outputs = _quarantine(spec, use_case, nights, scored)
    return JobResult(
        status="succeeded",
        rows_in=scored.rows_in,
        rows_out=scored.rows_out,
        rows_rejected=scored.rows_rejected,
        inputs={use_case.feature_table.name: features.version},
        outputs=outputs,
        metrics={
            "rows_per_second": round(scored.rows_in / seconds["score"], 1),
            "worker_peak_mb": round(scored.peak_memory / 2**20, 1),
        },
        values={
            "parts": {variant: part.to_dict() for variant, part in scored.parts.items()},
            "feature_files": features.files,
            "shadow": shadow.to_dict() if shadow and not scored.shadow_error else None,
            "shadow_files": [file.to_dict() for file in scored.shadow_files],
            "shadow_error": scored.shadow_error or no_shadow,
            "attempt": time.time_ns() // 1_000_000,
        },
        seconds=seconds,
    )


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
    return Scored.merge(parts)


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
    schema, within = use_case.quarantine_table, {"table_name": [use_case.feature_table.name]}
    held = {"ds": list(map(str, nights)), **within}
    before = delta.table_exists(spec.lake, schema.name) and held_files(delta.open_table(spec.lake, schema.name), held)
    if not before and not scored.quarantined:
        return {}
    version = delta.commit(spec.lake, schema, scored.quarantined, nights, run_id=spec.run_id, within=within)
    return {schema.name: version}


if __name__ == "__main__":
    main(run)
