"""What each program reports beyond :class:`nightjar.protocol.job.JobResult`, for later tasks and for people.

``land`` and ``record_event`` report nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar, Literal

from nightjar.protocol.data_file import DataFile
from nightjar.protocol.documents import load_values, parse_object
from nightjar.protocol.incidents import Notification, RetrainingDecision
from nightjar.protocol.job import JobResult
from nightjar.protocol.scores import Part, ScoringModel


@dataclass(frozen=True, kw_only=True)
class SourceRows:
    """Rows of one source.

    Attributes:
        rows_in: Landed rows.
        rows_out: Accepted rows.
        rows_rejected: Rows in quarantine.
        broken_rules: Row rule to the number of rows that broke it.
    """

    rows_in: int
    rows_out: int
    rows_rejected: int
    broken_rules: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class IngestResult(JobResult):
    """Result of ``ingest``.

    Attributes:
        sources: Source to its rows.
        warnings: Failed checks that do not stop the night, each with its night.
    """

    PROGRAM: ClassVar = "ingest"
    sources: Mapping[str, SourceRows]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BuildFeaturesResult(JobResult):
    """Result of ``build_features``.

    Attributes:
        missing_history: Nights of the features' history that are missing from the raw tables.
    """

    PROGRAM: ClassVar = "build_features"
    missing_history: tuple[date, ...]


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """Validated rows of one table.

    Attributes:
        rows: Rows of the nights.
        broken_rules: Row rule to the number of rows that broke it.
    """

    rows: int
    broken_rules: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ValidateFeaturesResult(JobResult):
    """Result of ``validate_features``.

    Attributes:
        data_docs: URI of the page with all expectations.
        tables: Table to its rows.
    """

    PROGRAM: ClassVar = "validate_features"
    data_docs: str
    tables: Mapping[str, TableRows]


@dataclass(frozen=True, kw_only=True)
class ScoreResult(JobResult):
    """Result of ``score``: scores that are written and not published.

    Attributes:
        parts: Variant to its scores. Without an experiment there is only the champion.
        feature_files: Files of the nights in the feature table.
        shadow: Model that wrote ``shadow_files``; None when no shadow has scored.
        shadow_files: Unpublished files of the shadow table.
        shadow_error: Why the declared shadow has no scores; empty when it has scores, or no shadow is declared.
        attempt: Number that grows with each attempt at these nights.
    """

    PROGRAM: ClassVar = "score"
    parts: Mapping[str, Part]
    feature_files: tuple[str, ...]
    shadow: ScoringModel | None
    shadow_files: tuple[DataFile, ...]
    shadow_error: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class ValidateScoresResult(ScoreResult):
    """Result of ``validate_scores``: the scores of ``score``, or of a fallback, that passed the audit."""

    PROGRAM: ClassVar = "validate_scores"


@dataclass(frozen=True, kw_only=True)
class PublishScoresResult(JobResult):
    """Result of ``publish_scores``.

    Attributes:
        committed: Whether this attempt made the commit; False when the table had these scores already.
        scoring_models: Variant to the model that scored it.
        shadow_error: Why the declared shadow has no scores; empty when it has scores, or no shadow is declared.
    """

    PROGRAM: ClassVar = "publish_scores"
    committed: bool
    scoring_models: Mapping[str, ScoringModel]
    shadow_error: str


@dataclass(frozen=True, kw_only=True)
class ConfirmChampionResult(JobResult):
    """Result of ``confirm_champion``.

    Attributes:
        model_versions: Variant to the version that scored it.
    """

    PROGRAM: ClassVar = "confirm_champion"
    model_versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CheckSkewResult(JobResult):
    """Result of ``check_skew``.

    Attributes:
        verdict: Worst verdict of the nights.
        skewed_columns: Columns whose training values would differ from the served ones.
        changed_columns: Columns whose history changed after the night was scored.
        checked_nights: Nights that were compared.
    """

    PROGRAM: ClassVar = "check_skew"
    verdict: Literal["skew", "history_changed", "same", "not_judged"]
    skewed_columns: tuple[str, ...]
    changed_columns: tuple[str, ...]
    checked_nights: tuple[date, ...]


@dataclass(frozen=True, kw_only=True)
class NightDriftResult:
    """Drift of one night.

    Attributes:
        verdict: ``drift`` or ``stable``.
        report: URI of its page.
        drifted_columns: Monitored columns that drifted.
    """

    verdict: Literal["drift", "stable"]
    report: str
    drifted_columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReportDriftResult(JobResult):
    """Result of ``report_drift``.

    Attributes:
        verdict: ``drift`` when at least one night drifted.
        report: URI of the last night's page.
        drifted_columns: Monitored columns that drifted on at least one night.
        nights: Night to its drift.
        notes: What could not be measured, and why.
    """

    PROGRAM: ClassVar = "report_drift"
    verdict: Literal["drift", "stable"]
    report: str
    drifted_columns: tuple[str, ...]
    nights: Mapping[date, NightDriftResult]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NightPerformance:
    """Performance as judged by one night's run.

    Attributes:
        verdict: ``judged``, ``not_judged`` (too few labels) or ``nothing_yet`` (no night has mature labels).
        judged_night: Scored night whose labels have matured; None when no night has mature labels.
        summary: Verdict and headline of the report.
        findings: Subjects of the findings.
    """

    verdict: str
    judged_night: date | None
    summary: str
    findings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReportPerformanceResult(JobResult):
    """Result of ``report_performance``.

    Attributes:
        last: Performance as judged by the last night's run.
        nights: Night to the performance as judged by its run.
    """

    PROGRAM: ClassVar = "report_performance"
    last: NightPerformance
    nights: Mapping[date, NightPerformance]


@dataclass(frozen=True, kw_only=True)
class ReportExperimentResult(JobResult):
    """Result of ``report_experiment``.

    Attributes:
        verdicts: Challenger to its verdict.
        nights_without_new_units: Nights that added no new unit to the experiment.
        report: URI of the page.
    """

    PROGRAM: ClassVar = "report_experiment"
    verdicts: Mapping[str, str]
    nights_without_new_units: tuple[date, ...]
    report: str


@dataclass(frozen=True, kw_only=True)
class ReactResult(JobResult):
    """Result of ``react``.

    Attributes:
        notifications: One for each incident of the last night.
        retrain: Decision on a retraining, with its reason.
    """

    PROGRAM: ClassVar = "react"
    notifications: tuple[Notification, ...]
    retrain: RetrainingDecision


@dataclass(frozen=True, kw_only=True)
class FreezeTrainingSetResult(JobResult):
    """Result of ``freeze_training_set``.

    Attributes:
        training_set: URI of the frozen training set.
    """

    PROGRAM: ClassVar = "freeze_training_set"
    training_set: str


@dataclass(frozen=True, kw_only=True)
class SelectFeaturesResult(JobResult):
    """Result of ``select_features``.

    Attributes:
        training_set: URI of the training set with the remaining features.
        training_set_sha256: Its SHA-256.
        dropped: Feature to the reason why it was dropped.
    """

    PROGRAM: ClassVar = "select_features"
    training_set: str
    training_set_sha256: str
    dropped: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class TuneResult(JobResult):
    """Result of one worker of ``tune``.

    Attributes:
        training_set_sha256: SHA-256 of the training set that was tuned on.
    """

    PROGRAM: ClassVar = "tune"
    training_set_sha256: str


@dataclass(frozen=True, kw_only=True)
class ChooseParamsResult(JobResult):
    """Result of ``choose_params``.

    Attributes:
        training_set: URI of the training set with the chosen parameters.
        training_set_sha256: Its SHA-256.
        params: Engine to the parameters of its best trial.
    """

    PROGRAM: ClassVar = "choose_params"
    training_set: str
    training_set_sha256: str
    params: Mapping[str, Mapping[str, bool | int | float | str | None]]


@dataclass(frozen=True, kw_only=True)
class CompressedModelFiles:
    """A compressed model that is trained and not registered.

    Attributes:
        model: URI of its folder.
        model_sha256: Checksum of the folder.
        figures: ``bytes`` of its members' files, ``rows_per_second`` on one thread, ``full_bytes`` and
            ``full_rows_per_second`` of the full model, and ``validation_score``.
    """

    model: str
    model_sha256: str
    figures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class TrainResult(JobResult):
    """Result of ``train``, written by rank 0.

    Attributes:
        model: URI of the model folder.
        model_sha256: Checksum of the folder.
        baselines: Name of each baseline to the checksum of its folder.
        compressed: Compression to the compressed model's files.
        training_set_sha256: SHA-256 of the training set.
        world_size: Number of ranks.
        external_memory: Whether an engine kept its rows on disk.
        device: Device of the first engine.
        peak_memory_bytes: Peak resident memory of each rank.
    """

    PROGRAM: ClassVar = "train"
    model: str
    model_sha256: str
    baselines: Mapping[str, str]
    compressed: Mapping[str, CompressedModelFiles] = field(default_factory=dict)
    training_set_sha256: str
    world_size: int
    external_memory: bool
    device: str
    peak_memory_bytes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class EvaluateResult(JobResult):
    """Result of ``evaluate``; ``metrics`` holds those of all models on the same holdout.

    Attributes:
        sha256: Name of a model of the run to its checksum.
        champion_version: Version of the champion that was measured; None without one.
        champion_sha256: Its checksum.
        champion_note: Limits of the comparison with the champion; empty for none.
    """

    PROGRAM: ClassVar = "evaluate"
    sha256: Mapping[str, str]
    champion_version: str | None
    champion_sha256: str | None
    champion_note: str


@dataclass(frozen=True, kw_only=True)
class RegisterResult(JobResult):
    """Result of ``register``.

    Attributes:
        model_name: Name of the registered model.
        model_version: Version of the full model.
        model_sha256: Checksum of its folder.
        model_uri: Its URI in MLflow.
        mlflow_run_id: Its MLflow run.
        versions: Name of a model of the run to its version.
    """

    PROGRAM: ClassVar = "register"
    model_name: str
    model_version: str
    model_sha256: str
    model_uri: str
    mlflow_run_id: str
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CandidateVerdict:
    """The gate's verdict on one of the run's models.

    Attributes:
        version: Its version.
        verdict: ``promote``, ``keep``, ``refused`` (misses a limit, without a champion to keep) or ``passed_over``
            (passes, but another model of the run is preferred).
        reasons: Why.
    """

    version: str
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GateResult(JobResult):
    """Result of ``gate``.

    Attributes:
        verdict: ``promote`` or ``keep``.
        reasons: Reasons for the verdict on the chosen model.
        model_version: Version of the chosen model.
        variant: Name of the chosen model.
        candidates: Name of a model of the run to the verdict on it.
        champion_version: Version that it was compared with; None without a champion.
        champion_note: Limits of that comparison; empty for none.
    """

    PROGRAM: ClassVar = "gate"
    verdict: Literal["promote", "keep"]
    reasons: tuple[str, ...]
    model_version: str
    variant: str
    candidates: Mapping[str, CandidateVerdict]
    champion_version: str | None
    champion_note: str


@dataclass(frozen=True, kw_only=True)
class PromoteResult(JobResult):
    """Result of ``promote``.

    Attributes:
        promoted: Whether this run has made the version champion.
        model_version: Version that the gate chose.
        reason: Why, or why not.
    """

    PROGRAM: ClassVar = "promote"
    promoted: bool
    model_version: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TableMaintenance:
    """Maintenance of one table.

    Attributes:
        table: Name of the table.
        version: Version afterwards.
        files: Number of data files of that version.
        compacted: Number of files replaced by compaction.
        removed: Number of deleted data files, which no version within the retention references.
        log_removed: Number of deleted log files, which no version within the retention needs.
    """

    table: str
    version: int
    files: int
    compacted: int
    removed: int
    log_removed: int


@dataclass(frozen=True, kw_only=True)
class MaintainLakeResult(JobResult):
    """Result of ``maintain_lake``.

    Attributes:
        tables: Table to its maintenance.
    """

    PROGRAM: ClassVar = "maintain_lake"
    tables: Mapping[str, TableMaintenance]


RESULTS: Mapping[str, type[JobResult]] = {
    cls.PROGRAM: cls
    for cls in (
        IngestResult,
        BuildFeaturesResult,
        ValidateFeaturesResult,
        ScoreResult,
        ValidateScoresResult,
        PublishScoresResult,
        ConfirmChampionResult,
        CheckSkewResult,
        ReportDriftResult,
        ReportPerformanceResult,
        ReportExperimentResult,
        ReactResult,
        FreezeTrainingSetResult,
        SelectFeaturesResult,
        TuneResult,
        ChooseParamsResult,
        TrainResult,
        EvaluateResult,
        RegisterResult,
        GateResult,
        PromoteResult,
        MaintainLakeResult,
    )
}
"""Program to the class of its result."""


def parse_result(text: str | bytes) -> JobResult:
    """Return the result of any program from its JSON. Names that a later release has added are ignored.

    Raises:
        ValueError, KeyError: when the document is not a result; call it within
            :func:`nightjar.protocol.documents.reading`.
    """
    document = parse_object(text)
    succeeded = document["status"] == "succeeded"
    cls = RESULTS.get(str(document.get("program")), JobResult) if succeeded else JobResult
    return load_values(cls, document, extra="ignore")
