"""Outcomes of runs, from their results in the lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from nightjar.declaration.sql import quote_ansi
from nightjar.declaration.use_case import UseCase
from nightjar.evaluation.verdict import prefix_of
from nightjar.lake.lake import Lake
from nightjar.lake.results import task_result
from nightjar.lake.rows import arrow_source
from nightjar.local.follow import Request
from nightjar.protocol.job import run_folder
from nightjar.protocol.results import (
    EvaluateResult,
    GateResult,
    IngestResult,
    PromoteResult,
    ReportDriftResult,
    ScoreResult,
)


@dataclass(frozen=True, kw_only=True)
class NightOutcome:
    """Outcome of one night.

    Attributes:
        night: The night.
        scored: Published rows.
        rejected_raw: Landed rows sent to quarantine.
        rejected: Rows that could not be scored.
        verdict: ``stable`` or ``drift``.
        report: Path of the drift report.
    """

    night: date
    scored: int
    rejected_raw: int
    rejected: int
    verdict: str
    report: str


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """Outcome of one training.

    Attributes:
        metric: Metric that compares models.
        value: Its value on the holdout, of the model that the gate chose.
        rows: Labelled rows of the holdout.
        version: Registered version.
        verdict: Outcome of the promotion, from ``promote``.
    """

    metric: str
    value: float
    rows: int
    version: str
    verdict: str

    def line(self) -> str:
        """Return one line for a terminal."""
        return f"{self.metric} {self.value:.4f} on {self.rows:,} rows held out; {self.verdict}"


def run_dir(lake: Path, request: Request) -> str:
    """Return the folder of a requested run in the lake."""
    return run_folder(str(lake), request.dag_id, request.run_id)


def night_outcome(lake: Path, request: Request, night: date) -> NightOutcome:
    """Read the outcome of a night's run."""
    run = run_dir(lake, request)
    score = task_result(run, "score", ScoreResult)
    drift = task_result(run, "report_drift", ReportDriftResult)
    return NightOutcome(
        night=night,
        scored=score.rows_out,
        rejected_raw=task_result(run, "ingest", IngestResult).rows_rejected,
        rejected=score.rows_rejected,
        verdict=drift.verdict,
        report=drift.report,
    )


def training_outcome(lake: Path, request: Request, use_case: UseCase) -> TrainingOutcome:
    """Read the outcome of a training run."""
    run = run_dir(lake, request)
    evaluated = task_result(run, "evaluate", EvaluateResult)
    judged = task_result(run, "gate", GateResult)
    promoted = task_result(run, "promote", PromoteResult)
    return TrainingOutcome(
        metric=use_case.decisive_metric,
        value=evaluated.metrics[prefix_of(judged.candidate) + use_case.decisive_metric],
        rows=evaluated.rows_out,
        version=promoted.model_version,
        verdict=promoted.reason,
    )


def riskiest(
    lake: Path, use_case: UseCase, night: date, count: int = 10
) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Return column names and rows of a night's highest predictions, as an analyst would query them."""
    import duckdb

    scores = arrow_source(Lake(str(lake)).table(use_case.score_table).open(), {"ds": [night.isoformat()]})
    columns = [*use_case.key, *(column.name for column in use_case.entity.carried), "prediction"]
    with duckdb.connect() as connection:
        connection.register("scores", scores)
        names, key = (", ".join(map(quote_ansi, names)) for names in (columns, use_case.key))
        query = f"SELECT {names} FROM scores WHERE ds = $night ORDER BY prediction DESC, {key} LIMIT $count"  # noqa: S608
        return columns, connection.execute(query, {"night": night, "count": count}).fetchall()
