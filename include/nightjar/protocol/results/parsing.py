"""Reads the result of any program."""

from __future__ import annotations

from collections.abc import Mapping

from nightjar.protocol.documents import load_values, parse_object
from nightjar.protocol.job import JobResult
from nightjar.protocol.results.data import (
    BuildFeaturesResult,
    IngestResult,
    MaintainLakeResult,
    ValidateFeaturesResult,
)
from nightjar.protocol.results.monitoring import (
    CheckSkewResult,
    ReactResult,
    ReportDriftResult,
    ReportExperimentResult,
    ReportPerformanceResult,
)
from nightjar.protocol.results.scoring import (
    ConfirmChampionResult,
    PublishScoresResult,
    ScoreResult,
    ValidateScoresResult,
)
from nightjar.protocol.results.training import (
    ChooseParamsResult,
    EvaluateResult,
    FreezeTrainingSetResult,
    GateResult,
    PromoteResult,
    RegisterResult,
    SelectFeaturesResult,
    TrainResult,
    TuneResult,
)

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
