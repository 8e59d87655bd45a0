"""What each program reports beyond :class:`nightjar.protocol.job.JobResult`, for later tasks and for people.

``land`` and ``record_event`` report nothing more.
"""

from nightjar.protocol.results.data import (
    BuildFeaturesResult,
    IngestResult,
    MaintainLakeResult,
    SourceRows,
    TableMaintenance,
    TableRows,
    ValidateFeaturesResult,
)
from nightjar.protocol.results.monitoring import (
    CheckSkewResult,
    NightDriftResult,
    NightPerformance,
    ReactResult,
    ReportDriftResult,
    ReportExperimentResult,
    ReportPerformanceResult,
)
from nightjar.protocol.results.parsing import RESULTS, parse_result
from nightjar.protocol.results.scoring import (
    ConfirmChampionResult,
    PublishScoresResult,
    ScoreResult,
    ValidateScoresResult,
)
from nightjar.protocol.results.training import (
    CandidateVerdict,
    ChooseParamsResult,
    CompressedModelFiles,
    EvaluateResult,
    FreezeTrainingSetResult,
    GateResult,
    PromoteResult,
    RegisterResult,
    SelectFeaturesResult,
    TrainResult,
    TuneResult,
)

__all__ = [
    "RESULTS",
    "BuildFeaturesResult",
    "CandidateVerdict",
    "CheckSkewResult",
    "ChooseParamsResult",
    "CompressedModelFiles",
    "ConfirmChampionResult",
    "EvaluateResult",
    "FreezeTrainingSetResult",
    "GateResult",
    "IngestResult",
    "MaintainLakeResult",
    "NightDriftResult",
    "NightPerformance",
    "PromoteResult",
    "PublishScoresResult",
    "ReactResult",
    "RegisterResult",
    "ReportDriftResult",
    "ReportExperimentResult",
    "ReportPerformanceResult",
    "ScoreResult",
    "SelectFeaturesResult",
    "SourceRows",
    "TableMaintenance",
    "TableRows",
    "TrainResult",
    "TuneResult",
    "ValidateFeaturesResult",
    "ValidateScoresResult",
    "parse_result",
]
