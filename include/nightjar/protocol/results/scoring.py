"""Results of the programs that write, audit and publish scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from nightjar.protocol.data_file import DataFile
from nightjar.protocol.job import JobResult
from nightjar.protocol.scores import Part, ScoringModel


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
