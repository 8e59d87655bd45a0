"""How nights are scored, beyond the champion's prediction. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import CountOrZero, Declaration, Name, Version, refuse
from nightjar.declaration.experiment import CHAMPION, Experiment
from nightjar.declaration.tables import Column

CHAMPION_NOW, CHAMPION_THEN = "champion", "champion_then"
"""Values of the param ``model_policy``: today's champion, or the one that was champion on the night."""
PREDICTION_IS_FINITE = "prediction_is_finite"
SCORING_RULES = {PREDICTION_IS_FINITE: "the model has no finite prediction for it"}
"""Rules of scoring itself, by which rows of the feature table go to quarantine, and their reasons."""


@dataclass(frozen=True, kw_only=True)
class Scoring(Declaration):
    """What else scoring does, and what it falls back to.

    Attributes:
        reason_codes: For how many inputs, those that moved a row's prediction most, the row names the contribution;
            for models of boosted trees alone.
        shadow: Alias in MLflow of a version that scores each night too, into ``scores_shadow/<use_case>``; while no
            version has it, nothing is done.
        default_version: Registered version that scores when neither the champion nor one that has published can.
        experiment: Splits the entities between the champion and challengers; None lets the champion score all.
    """

    reason_codes: CountOrZero = 0
    shadow: Name | None = None
    default_version: Version | None = None
    experiment: Experiment | None = None

    def check(self) -> None:
        """Refuse a shadow that scores already."""
        if self.shadow == CHAMPION:
            refuse(
                f"shadow is {CHAMPION!r}, which scores each night already",
                where="Scoring.shadow",
                fix="give another alias, e.g. challenger, or None",
            )

    @property
    def reason_columns(self) -> tuple[Column, ...]:
        """Two columns for each reason code, the strongest first."""
        return tuple(column for place in range(1, self.reason_codes + 1) for column in _reason(place))


def _reason(place: int) -> tuple[Column, Column]:
    rank = "" if place == 1 else f" {place}."
    return (
        Column(f"reason_{place}", "string", f"Input that moved this prediction{rank} most; null without trees."),
        Column(
            f"reason_{place}_contribution",
            "double",
            "By how much, in log-odds before calibration (SHAP): above 0 towards 1.",
        ),
    )


FALLBACK_REASON = Column(
    "fallback_reason",
    "string",
    "Why another version than the one meant to scored this row; null when none did.",
)
