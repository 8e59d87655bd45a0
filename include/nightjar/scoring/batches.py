"""Score Arrow batches: rows of the scores table, and rows without a finite prediction for quarantine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightjar.declaration.scoring import FALLBACK_REASON, PREDICTION_IS_FINITE
from nightjar.declaration.use_case import UseCase
from nightjar.lake.delta import arrow_schema
from nightjar.lake.python_values import python_rows
from nightjar.problems.arrays import are_finite
from nightjar.protocol.scores import ScoringModel
from nightjar.scoring.reasons import reason_columns
from nightjar.scoring.task import ScoringTask
from nightjar.training.model import TabularModel

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 64 << 20
"""Approximate memory of a batch with its matrix and predictions."""
_BYTES_PER_VALUE = 24
"""Memory of one feature value of a row: as read, as encoded, and within the engine."""
_MIN_ROWS, _MAX_ROWS = 1 << 10, 1 << 17


def batch_rows(columns: int) -> int:
    """Return the number of rows in a batch with this number of columns."""
    return max(_MIN_ROWS, min(_MAX_ROWS, BATCH_BYTES // (_BYTES_PER_VALUE * max(1, columns))))


@dataclass(frozen=True, kw_only=True)
class BatchScores:
    """Result of scoring a batch.

    Attributes:
        scores: Rows of the scores table.
        rejected: Rows of the quarantine table, those without a finite prediction; None when there are none.
    """

    scores: pa.RecordBatch
    rejected: pa.RecordBatch | None


def score_batch(
    batch: pa.RecordBatch,
    model: TabularModel,
    scoring_model: ScoringModel,
    use_case: UseCase,
    task: ScoringTask,
    *,
    variant: str | None = None,
    threads: int = 1,
) -> BatchScores:
    """Predict every row of ``batch`` and reject rows without a finite prediction.

    Args:
        batch: Rows of the feature table, all of one night.
        model: The loaded model of `scoring_model`.
        scoring_model: The version that scores.
        use_case: What is predicted.
        task: Run, nights and version of the features.
        variant: The experiment's variant that these rows belong to; None for a night that is not split.
        threads: Threads for the model.
    """
    import pyarrow as pa

    matrix = model.encode(batch)
    outputs = model.predict_matrix(matrix, threads=threads)
    is_finite = are_finite(outputs)
    rejected = None
    if not is_finite.all():
        rejected = _quarantine_rows(batch.filter(pa.array(~is_finite)), use_case, task)
        batch, matrix, outputs = batch.filter(pa.array(is_finite)), matrix[is_finite], outputs[is_finite]
    columns = {**model.problem.columns(outputs), **reason_columns(model, matrix, use_case.scoring.reason_codes)}
    return BatchScores(scores=_score_rows(batch, columns, scoring_model, use_case, task, variant), rejected=rejected)


def _score_rows(
    batch: pa.RecordBatch,
    outputs: Mapping[str, Any],
    scoring_model: ScoringModel,
    use_case: UseCase,
    task: ScoringTask,
    variant: str | None,
) -> pa.RecordBatch:
    """Rows of the scores table: columns of the model's outputs, their origin, and the batch's own columns."""
    import pyarrow as pa

    schema = arrow_schema(use_case.score_table)
    if not batch.num_rows:
        return pa.RecordBatch.from_pylist([], schema=schema)
    nights = task.nights(use_case.schedule.timezone)
    experiment = use_case.scoring.experiment
    constant = {
        "model_name": scoring_model.name,
        "model_version": scoring_model.version,
        "model_sha256": scoring_model.sha256,
        "features_version": task.features_version,
        "dag_run_id": task.run_id,
        FALLBACK_REASON.name: scoring_model.fallback_reason,
        "experiment": experiment.name if experiment and variant else None,
        "variant": variant,
        "scored_at": nights.prediction_moment(batch.column("ds")[0].as_py()),
    }
    columns = dict(outputs)
    for field in schema:
        if field.name in constant:
            columns[field.name] = pa.repeat(pa.scalar(constant[field.name], field.type), batch.num_rows)
        elif field.name not in columns:
            columns[field.name] = batch.column(field.name)
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _quarantine_rows(rejected: pa.RecordBatch, use_case: UseCase, task: ScoringTask) -> pa.RecordBatch:
    import pyarrow as pa

    rows = [
        {
            "ds": row["ds"],
            "table_name": use_case.feature_table.name,
            "rules": [PREDICTION_IS_FINITE],
            "row_json": json.dumps(row, default=str, sort_keys=True),
            "dag_run_id": task.run_id,
        }
        for row in python_rows(rejected)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=arrow_schema(use_case.quarantine_table))
