"""Report drift: each night's features and predictions against the training set of the model that scored it.

Counted in Spark in one pass, stored in ``monitoring/drift``, shown on one page per night. A night that cannot be
looked at (no rows, no profile, a column missing) fails; it is never called stable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from nightjar.contracts.errors import GateError
from nightjar.contracts.experiment import CHAMPION
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.settings import Settings
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.lake import delta, files
from nightjar.lake.results import earlier_result
from nightjar.monitoring.drift import NightDrift, compare
from nightjar.monitoring.profile import ColumnProfile, Profile, ProfiledColumn
from nightjar.monitoring.records import DRIFT_TABLE, drift_rows, past_nights, replace_rows
from nightjar.monitoring.reference import PREDICTION, read_reference
from nightjar.monitoring.report import Report, render
from nightjar.monitoring.summarize import count_categories
from nightjar.monitoring.volumes import volumes
from nightjar.scoring.task import parts_of
from nightjar_spark.io import read_table
from nightjar_spark.main import main
from nightjar_spark.profiling import profile_nights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

HISTORY_NIGHTS = 14
NO_PREDICTION = "The model's profile holds no predictions, so their drift was not looked at."


_IDENTITY = ("model_name", "model_version", "model_sha256")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Which model spoke on a night, and its predictions, when the reference holds some to compare with."""

    model_name: str
    model_version: str
    model_sha256: str
    prediction: ColumnProfile | None


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Compare the nights of ``spec``, whose scores are published.

    The task ``validate_scores`` of the same run says whose scores passed, and which version of the feature table was
    read (``inputs``). Of a night that an experiment splits, the champion's predictions are looked at.

    Raises:
        GateError: when a night has no features or no scores, was scored by several models, or a column is missing.
        ModelError: when the model's profile is missing, altered, or another than the one that scored.
    """
    return report_drift(spark, spec, load_use_case(spec.use_case))


def report_drift(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> JobResult:
    """:func:`run` for a given use case."""
    started = time.monotonic()
    nights = list(spec.nights(use_case.timezone))
    audited = earlier_result(spec, "validate_scores")
    inputs = _input_versions(spec, use_case, audited)
    found = read_reference(parts_of(audited.values)[CHAMPION].speaker.folder)
    reference = found.profile
    scored = _scored(spark, spec, use_case, inputs, reference)
    found.check_scored({night.model_sha256 for night in scored.values()}, where=use_case.score_table.name)
    profiles = _features(spark, spec, use_case, inputs, reference)
    for night in nights:
        if (prediction := scored[night].prediction) is not None:
            profiles[night] = profiles[night].with_column(PREDICTION, prediction)
    counted = time.monotonic()
    watched = [f.name for f in use_case.features if f.drift] + [PREDICTION] * (PREDICTION in reference.columns)
    drifts = {night: compare(profiles[night], reference, use_case.drift, watched=watched) for night in nights}
    rows = [
        row
        for night, drift in drifts.items()
        for row in drift_rows(
            drift,
            night=night,
            use_case=use_case.name,
            model_version=scored[night].model_version,
            run_id=spec.run_id,
        )
    ]
    version = replace_rows(spec.lake, DRIFT_TABLE, rows, nights, use_case=use_case.name, run_id=spec.run_id)
    reports = {
        night: _write_report(spec, use_case, night, drift, scored[night], inputs) for night, drift in drifts.items()
    }
    return JobResult(
        status="succeeded",
        rows_in=len(rows),
        rows_out=len(rows),
        inputs=inputs,
        outputs={DRIFT_TABLE.name: version},
        seconds={"count": round(counted - started, 3), "compare_and_write": round(time.monotonic() - counted, 3)},
        metrics=_metrics(drifts),
        values=_values(drifts, reports),
        links={"report": reports[nights[-1]]},
    )


def _input_versions(spec: JobSpec, use_case: UseCase, audited: JobResult) -> dict[str, int]:
    """The feature table as the model saw it, and the scores as published now."""
    features, scores = use_case.feature_table.name, use_case.score_table.name
    seen = audited.inputs.get(features)
    return {
        features: int(delta.open_table(spec.lake, features).version()) if seen is None else seen,
        scores: int(delta.open_table(spec.lake, scores).version()),
    }


def _scored(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, inputs: Mapping[str, int], reference: Profile
) -> dict[date, Scored]:
    """Which model scored each night, and its predictions in the reference's bins; one pass over the scores.

    Raises:
        GateError: when a night has no scores, or those of several models.
    """
    nights, table = list(spec.nights(use_case.timezone)), use_case.score_table.name
    columns = [ProfiledColumn(name, "categorical") for name in _IDENTITY]
    bins = Profile(rows=0, columns={name: count_categories({}, ()) for name in _IDENTITY})
    if PREDICTION in reference.columns:
        columns.append(ProfiledColumn(PREDICTION, "numeric"))
        bins = bins.with_column(PREDICTION, reference.columns[PREDICTION])
    frame = read_table(spark, spec.lake, table, nights=nights, version=inputs[table])
    if use_case.scoring.experiment:
        frame = frame.where(F.coalesce("variant", F.lit(CHAMPION)) == CHAMPION)
    profiles = profile_nights(frame, columns, bins)
    scored, wrong = {}, []
    for night in nights:
        found = profiles[night].columns if night in profiles else {}
        names = {name: found[name].unlisted if found else () for name in _IDENTITY}
        if any(len(values) != 1 for values in names.values()):
            wrong.append(str(night))
            continue
        identity = {name: values[0] for name, values in names.items()}
        scored[night] = Scored(**identity, prediction=found.get(PREDICTION))
    if wrong:
        raise GateError(
            "no published scores, or scores of several models",
            where=f"{table}, {', '.join(wrong)}",
            how_many=len(wrong),
            fix="clear the tasks score to publish_scores of these nights",
        )
    return scored


def _features(
    spark: SparkSession, spec: JobSpec, use_case: UseCase, inputs: Mapping[str, int], reference: Profile
) -> dict[date, Profile]:
    """Each night's features in the reference's bins; one pass over them.

    Raises:
        GateError: when a night has none.
    """
    nights, table = list(spec.nights(use_case.timezone)), use_case.feature_table.name
    columns = [ProfiledColumn(feature.name, feature.kind) for feature in use_case.features]
    frame = read_table(spark, spec.lake, table, nights=nights, version=inputs[table])
    profiles = dict(profile_nights(frame, columns, reference))
    if empty := [str(night) for night in nights if night not in profiles]:
        raise GateError(
            "there are no feature rows to look at",
            where=f"{table}, {', '.join(empty)}",
            how_many=len(empty),
            fix="clear the task build_features of these nights",
        )
    return profiles


def _write_report(
    spec: JobSpec, use_case: UseCase, night: date, drift: NightDrift, scored: Scored, inputs: Mapping[str, int]
) -> str:
    earlier = [night - timedelta(days=days) for days in range(HISTORY_NIGHTS, 0, -1)]
    report = Report(
        title=use_case.title,
        use_case=use_case.name,
        night=night,
        drift=drift,
        comments={**{f.name: f.comment for f in use_case.features}, PREDICTION: use_case.prediction},
        model_name=scored.model_name,
        model_version=scored.model_version,
        model_sha256=scored.model_sha256,
        volumes=volumes(spec.lake, use_case, night, earlier),
        history=past_nights(spec.lake, use_case.name, earlier),
        notes=[] if PREDICTION in drift.by_name else [NO_PREDICTION],
        mlflow_uri=Settings.from_environment().mlflow_uri,
        git_commit=Settings.from_environment().git_commit,
        run_id=spec.run_id,
        table_versions=inputs,
    )
    uri = f"{spec.lake}/reports/{use_case.name}/{night}/drift.html"
    files.write_text(uri, render(report))
    log.info("%s: %s, %s", night, drift.verdict, uri)
    return uri


def _metrics(drifts: Mapping[date, NightDrift]) -> dict[str, float]:
    """The worst of the nights."""
    metrics = {
        "drifted_share": max(drift.drifted_share for drift in drifts.values()),
        "max_psi": max(column.psi for drift in drifts.values() for column in drift.watched),
    }
    predictions = [drift.by_name[PREDICTION].psi for drift in drifts.values() if PREDICTION in drift.by_name]
    return {**metrics, "prediction_psi": max(predictions)} if predictions else metrics


def _values(drifts: Mapping[date, NightDrift], reports: Mapping[date, str]) -> dict[str, Any]:
    """The verdict on all nights together (``drift`` when one drifted), the last report, and each night's own."""
    by_night = {
        str(night): {
            "verdict": drift.verdict,
            "report": reports[night],
            "drifted_columns": [column.name for column in drift.drifted],
        }
        for night, drift in drifts.items()
    }
    looked_at_predictions = all(PREDICTION in drift.by_name for drift in drifts.values())
    return {
        "verdict": "drift" if any(drift.verdict == "drift" for drift in drifts.values()) else "stable",
        "report": reports[max(reports)],
        "drifted_columns": sorted({column.name for drift in drifts.values() for column in drift.drifted}),
        "nights": by_night,
        "notes": [] if looked_at_predictions else [NO_PREDICTION],
    }


if __name__ == "__main__":
    main(run)
