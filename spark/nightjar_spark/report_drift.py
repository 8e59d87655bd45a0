"""Compare each night's features, predictions and labels with the training set of the model that scored it.

Spark counts in one pass. The results are stored in ``monitoring/profiles``, ``monitoring/drift`` and
``monitoring/domain`` and shown on one page per night. The task fails for a night that cannot be compared (no rows, no
profile, a column missing); such a night is never reported as stable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.monitoring.data_quality.rejections import count_rejections
from nightjar.monitoring.data_quality.table import read_warnings
from nightjar.monitoring.data_quality.volumes import count_volumes
from nightjar.monitoring.drift.comparison import NightDrift, compare
from nightjar.monitoring.drift.domain import Domain, separate_samples
from nightjar.monitoring.drift.domain_table import DOMAIN_TABLE, DomainRow, domain_row
from nightjar.monitoring.drift.report import Report, render
from nightjar.monitoring.drift.table import DRIFT_TABLE, DriftRow, drift_rows, read_past_nights
from nightjar.monitoring.drift.windows import ColumnWindows, compare_windows, window_nights
from nightjar.monitoring.night_run import NightRun
from nightjar.monitoring.profiles.profile import Profile
from nightjar.monitoring.profiles.reference import LABEL, PREDICTION, read_reference
from nightjar.monitoring.profiles.table import PROFILES_TABLE, ProfileRow, profile_rows, read_profiles
from nightjar.monitoring.reporting.origin import ReportOrigin
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import NightDriftResult, ReportDriftResult, ValidateScoresResult
from nightjar.settings.environment import Settings
from nightjar.settings.secrets import without_credentials
from nightjar_spark.drift_counts import Counted, count_nights
from nightjar_spark.main import main

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

HISTORY_NIGHTS = 14
NO_PREDICTION = "The model's profile has no predictions, so their drift was not computed."
NO_SKETCH = (
    "The model's profile has an older format without quantiles and rows, so distances in the columns' units and the "
    "domain classifier were not computed. Retrain to get them."
)

NO_ROW_COLUMNS = (
    "Whole nights share their values in every column, so the domain classifier would separate any night from training "
    "and was not run."
)


@dataclass(frozen=True, kw_only=True)
class _Night:
    """Results of one night."""

    counted: Counted
    drift: NightDrift
    windows: Mapping[str, ColumnWindows]
    domain: Domain | None


def run(spark: SparkSession, spec: JobSpec) -> ReportDriftResult:
    """Compare the nights of ``spec``, whose scores are published.

    The task ``validate_scores`` of the same run names the scores that passed and the version of the feature table
    (``inputs``). With an experiment, the champion's predictions are compared. Labels are those that landed with the
    night, for earlier scores.

    Raises:
        GateError: when a night has no features or no scores, was scored by several models, or lacks a column.
        ModelError: when the model's profile is missing, altered, or not of the model that scored.
    """
    return report_drift(spark, spec, load_use_case(spec.use_case))


def report_drift(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> ReportDriftResult:
    """:func:`run` for a given use case."""
    lake = Lake(spec.lake)
    started = time.monotonic()
    nights = list(spec.nights(use_case.schedule.timezone))
    audited = earlier_result(spec, ValidateScoresResult)
    inputs = _input_versions(lake, use_case, audited)
    reference = read_reference(audited.parts[CHAMPION].scoring_model.folder)
    counted = count_nights(spark, lake, use_case, nights, inputs, reference.profile)
    reference.check_scored({night.model_sha256 for night in counted.values()}, where=use_case.score_table.name)
    counted_at = time.monotonic()
    compared = _compare(lake, use_case, counted, reference.profile)
    outputs = _store(spec, use_case, compared)
    notes = _notes(reference.profile)
    reports = {
        night: _write_report(spec, use_case, night, results, [*notes, *_label_note(results, reference.profile)], inputs)
        for night, results in compared.items()
    }
    drifts = {night: results.drift for night, results in compared.items()}
    rows = sum(len(drift.columns) for drift in drifts.values())
    return ReportDriftResult(
        rows_in=rows,
        rows_out=rows,
        inputs=inputs,
        outputs=outputs,
        seconds={
            "count": round(counted_at - started, 3),
            "compare_and_write": round(time.monotonic() - counted_at, 3),
        },
        metrics=_metrics(compared),
        verdict="drift" if any(drift.verdict == "drift" for drift in drifts.values()) else "stable",
        report=reports[nights[-1]],
        drifted_columns=tuple(sorted({column.name for drift in drifts.values() for column in drift.drifted})),
        nights={night: _night_result(drift, reports[night]) for night, drift in drifts.items()},
        notes=tuple(notes),
        links={"report": reports[nights[-1]]},
    )


def _input_versions(lake: Lake, use_case: UseCase, audited: ValidateScoresResult) -> dict[str, int]:
    """Return the version of the feature table that was scored, and the current versions of scores and labels."""
    features, scores = use_case.feature_table.name, use_case.score_table.name
    labels = use_case.label_table.name
    scored = audited.inputs.get(features)
    versions = {
        features: int(lake.open_table(features).version()) if scored is None else scored,
        scores: int(lake.open_table(scores).version()),
    }
    if lake.has_table(labels):
        versions[labels] = int(lake.open_table(labels).version())
    return versions


def _compare(lake: Lake, use_case: UseCase, counted: Mapping[date, Counted], reference: Profile) -> dict[date, _Night]:
    """Compare each night with the training set and with earlier nights, including those of this run."""
    wanted = {day for night in counted for day in window_nights(night, use_case.monitoring.drift)} - counted.keys()
    profiles = read_profiles(lake, use_case.name, sorted(wanted))
    profiles |= {night: night_counts.profile for night, night_counts in counted.items()}
    features = [feature.name for feature in use_case.features.columns if feature.drift]
    compared = {}
    for night, night_counts in counted.items():
        profile = night_counts.profile
        outcomes = [name for name in (PREDICTION, LABEL) if name in profile.columns]
        domain = None
        if night_counts.sample and reference.sample:
            columns = [name for name in features if name in reference.sample.columns]
            domain = separate_samples(reference.sample, night_counts.sample, reference, columns, reference.usual_auc)
        compared[night] = _Night(
            counted=night_counts,
            drift=compare(profile, reference, use_case.monitoring.drift, watched=[*features, *outcomes]),
            windows=compare_windows(night, profile, profiles, reference, use_case.monitoring.drift),
            domain=domain,
        )
    return compared


def _store(spec: JobSpec, use_case: UseCase, compared: Mapping[date, _Night]) -> dict[str, int]:
    """Replace the nights' rows of the drift tables and return the new table versions."""
    profiles: list[ProfileRow] = []
    drifts: list[DriftRow] = []
    domains: list[DomainRow] = []
    for night, results in compared.items():
        counted = results.counted
        run, version = NightRun(night=night, use_case=use_case.name, run_id=spec.run_id), counted.model_version
        profiles += profile_rows(counted.profile, run, model_sha256=counted.model_sha256, model_version=version)
        drifts += drift_rows(results.drift, results.windows, run, model_version=version)
        domains += [domain_row(results.domain, run, model_version=version)] if results.domain else []
    written: dict[TableSchema, Sequence[DataclassInstance]] = {
        PROFILES_TABLE: profiles,
        DOMAIN_TABLE: domains,
        DRIFT_TABLE: drifts,
    }
    lake, nights = Lake(spec.lake), list(compared)
    return {
        schema.name: lake.table(schema).replace(rows, nights, use_case=use_case.name, run_id=spec.run_id)
        for schema, rows in written.items()
    }


def _notes(reference: Profile) -> list[str]:
    """Return notes on what the reference does not support."""
    notes = [] if PREDICTION in reference.columns else [NO_PREDICTION]
    if reference.sample is None:
        return [*notes, NO_SKETCH]
    return notes if reference.sample.columns else [*notes, NO_ROW_COLUMNS]


def _label_note(results: _Night, reference: Profile) -> list[str]:
    if LABEL not in reference.columns or LABEL in results.drift.by_name:
        return []
    return ["No labels landed with this night, so their drift was not computed."]


def _write_report(
    spec: JobSpec, use_case: UseCase, night: date, results: _Night, notes: list[str], inputs: Mapping[str, int]
) -> str:
    lake = Lake(spec.lake)
    earlier = [night - timedelta(days=days) for days in range(HISTORY_NIGHTS, 0, -1)]
    features = {feature.name: feature.comment for feature in use_case.features.columns}
    report = Report(
        title=use_case.title,
        use_case=use_case.name,
        night=night,
        drift=results.drift,
        windows=results.windows,
        domain=results.domain,
        comments={**features, PREDICTION: use_case.target.prediction, LABEL: use_case.target.label},
        model_name=results.counted.model_name,
        model_version=results.counted.model_version,
        model_sha256=results.counted.model_sha256,
        volumes=count_volumes(lake, use_case, night, earlier),
        rejections=count_rejections(lake, use_case, night),
        warnings=read_warnings(lake, use_case.name, night),
        history=read_past_nights(lake, use_case.name, earlier, model_version=results.counted.model_version),
        notes=notes,
        mlflow_uri=without_credentials(Settings.from_environment().mlflow_uri),
        origin=ReportOrigin(
            git_commit=Settings.from_environment().git_commit, run_id=spec.run_id, table_versions=inputs
        ),
    )
    uri = lake.report_uri(use_case.name, night, "drift")
    files.write_text(uri, render(report))
    log.info("%s: %s, %s", night, results.drift.verdict, uri)
    return uri


def _metrics(compared: Mapping[date, _Night]) -> dict[str, float]:
    """Return the metrics of the worst night."""
    drifts = [results.drift for results in compared.values()]
    metrics = {
        "drifted_share": max(drift.drifted_share for drift in drifts),
        "max_psi": max(column.psi for drift in drifts for column in drift.watched),
    }
    for name in (PREDICTION, LABEL):
        if psis := [drift.by_name[name].psi for drift in drifts if name in drift.by_name]:
            metrics[f"{name}_psi"] = max(psis)
    if aucs := [results.domain.auc.value for results in compared.values() if results.domain]:
        metrics["domain_auc"] = max(aucs)
    return metrics


def _night_result(drift: NightDrift, report: str) -> NightDriftResult:
    return NightDriftResult(
        verdict=drift.verdict, report=report, drifted_columns=tuple(column.name for column in drift.drifted)
    )


if __name__ == "__main__":
    main(run)
