"""Results of programs with neutral values, for tests that need a few of their fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from nightjar.protocol.incidents import RetrainingDecision
from nightjar.protocol.job import JobResult
from nightjar.protocol.results import (
    BuildFeaturesResult,
    EvaluateResult,
    FreezeTrainingSetResult,
    GateResult,
    IngestResult,
    PromoteResult,
    ReactResult,
    RegisterResult,
    ReportDriftResult,
    ScoreResult,
    TrainResult,
    ValidateScoresResult,
)

R = TypeVar("R", bound=JobResult)
_SCORES: dict[str, Any] = {
    "parts": {},
    "feature_files": (),
    "shadow": None,
    "shadow_files": (),
    "shadow_error": "",
    "attempt": 1,
}
NEUTRAL: dict[type[JobResult], dict[str, Any]] = {
    IngestResult: {"sources": {}, "warnings": ()},
    BuildFeaturesResult: {"missing_history": ()},
    ScoreResult: _SCORES,
    ValidateScoresResult: _SCORES,
    ReportDriftResult: {"verdict": "stable", "report": "", "drifted_columns": (), "nights": {}, "notes": ()},
    ReactResult: {"notifications": (), "retrain": RetrainingDecision()},
    FreezeTrainingSetResult: {"training_set": ""},
    TrainResult: {
        "model": "",
        "model_sha256": "",
        "baselines": {},
        "training_set_sha256": "",
        "world_size": 1,
        "external_memory": False,
        "device": "cpu",
        "peak_memory_bytes": (1,),
    },
    EvaluateResult: {"sha256": {}, "champion_version": None, "champion_sha256": None, "champion_note": ""},
    RegisterResult: {
        "model_name": "m",
        "model_version": "1",
        "model_sha256": "",
        "model_uri": "",
        "mlflow_run_id": "",
        "versions": {},
    },
    GateResult: {
        "verdict": "promote",
        "reasons": (),
        "model_version": "1",
        "candidate": "full",
        "candidates": {},
        "champion_version": None,
        "champion_note": "",
    },
    PromoteResult: {"promoted": True, "model_version": "1", "reason": ""},
}


def neutral_result(cls: type[R], **fields: Any) -> R:
    """Return a succeeded result of the class, with ``fields`` in place of neutral values."""
    return cls(**{"program": cls.PROGRAM, **NEUTRAL[cls], **fields})


def own_fields(result: JobResult) -> dict[str, Any]:
    """Return what the program reports beyond the fields of every result."""
    shared = {field.name for field in fields(JobResult)}
    return {field.name: getattr(result, field.name) for field in fields(result) if field.name not in shared}
