"""Options of nightly scoring, and limits for its scores. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field

from nightjar.declaration.declared import CountOrZero, Declaration, Name, NotNegative, Share, Version, refuse
from nightjar.declaration.experiment import CHAMPION, Experiment
from nightjar.declaration.tables import Column

CHAMPION_NOW, CHAMPION_THEN = "champion", "champion_then"
"""Values of the param ``model_policy``: the current champion, or the champion at the time of the night."""
PREDICTION_IS_FINITE = "prediction_is_finite"
SCORING_RULES = {PREDICTION_IS_FINITE: "the model has no finite prediction for it"}
"""Rules of scoring itself that send rows of the feature table to quarantine, with their reasons."""


@dataclass(frozen=True, kw_only=True)
class ScoreAudit(Declaration):
    """Limits for a night's scores before they are published.

    Attributes:
        max_mean_shift: Maximum absolute difference between the mean prediction and that of the last published night.
            For classes, of the mean probability of any class; for numbers, in standard deviations of the last published
            night's predictions. None for 0.25, for numbers 1.
        max_rejected_share: Maximum share of rows that the model could not score.
    """

    max_mean_shift: NotNegative | None = None
    max_rejected_share: Share = 0.01


@dataclass(frozen=True, kw_only=True)
class Scoring(Declaration):
    """Options of scoring, its fallback, and limits for its scores.

    Attributes:
        reason_codes: Number of reason codes per row: the inputs with the largest contribution to the prediction. Only
            for models whose members are all trees or linear (``Boosting``, ``LightGBM``, ``Linear``).
        shadow: MLflow alias of a version that also scores each night, into ``scores_shadow/<use_case>``. Nothing is
            done while no version has the alias.
        default_version: Registered version that scores when neither the champion nor an already published version can.
        experiment: Split of the entities between the champion and challengers; None for the champion alone.
        audit: Limits for a night's scores.
    """

    reason_codes: CountOrZero = 0
    shadow: Name | None = None
    default_version: Version | None = None
    experiment: Experiment | None = None
    audit: ScoreAudit = field(default_factory=ScoreAudit)

    def check(self) -> None:
        """Check that the shadow is not the champion."""
        if self.shadow == CHAMPION:
            refuse(
                f"shadow is {CHAMPION!r}, which scores each night already",
                where="Scoring.shadow",
                fix="give another alias, e.g. challenger, or None",
            )

    @property
    def reason_columns(self) -> tuple[Column, ...]:
        """Two columns per reason code, largest contribution first."""
        return tuple(column for place in range(1, self.reason_codes + 1) for column in _reason(place))


def _reason(place: int) -> tuple[Column, Column]:
    rank = "" if place == 1 else f" {place}."
    return (
        Column(
            f"reason_{place}", "string", f"Input with the{rank} largest contribution; null for a model without trees."
        ),
        Column(
            f"reason_{place}_contribution",
            "double",
            "Its contribution, in log-odds before calibration (SHAP); above 0 raises the prediction.",
        ),
    )


FALLBACK_REASON = Column(
    "fallback_reason",
    "string",
    "Why a fallback version scored this row; null without a fallback.",
)
