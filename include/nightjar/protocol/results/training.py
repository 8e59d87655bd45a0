"""Results of the programs from the frozen training set to the promoted model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from nightjar.protocol.job import JobResult


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
        candidate: Name of the chosen model.
        candidates: Name of a model of the run to the verdict on it.
        champion_version: Version that it was compared with; None without a champion.
        champion_note: Limits of that comparison; empty for none.
    """

    PROGRAM: ClassVar = "gate"
    verdict: Literal["promote", "keep"]
    reasons: tuple[str, ...]
    model_version: str
    candidate: str
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
