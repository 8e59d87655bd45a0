"""Score Arrow batches and write them as unpublished files of the scores table; runs inside Spark tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nightjar.contracts.nights import Nights
from nightjar.contracts.use_case import DECISION, UseCase, load_use_case
from nightjar.lake import files
from nightjar.lake.delta import DataFile, arrow_schema, table_uri
from nightjar.lake.parquet import TableFileWriter
from nightjar.training.model import TabularModel

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class ScoringTask:
    """What every worker needs to know; small, as it travels with each Spark task.

    Attributes:
        use_case: Name of the use case.
        lake: The lake's root.
        model_folder: Model folder in the lake.
        model_sha256: What its checksum must be.
        model_name: Registered name.
        model_version: Registered version.
        features_version: Delta version of the feature table that is read.
        run_id: Airflow run.
        first_night: First night of the run.
        last_night: Last night of the run.
    """

    use_case: str
    lake: str
    model_folder: str
    model_sha256: str
    model_name: str
    model_version: str
    features_version: int
    run_id: str
    first_night: date
    last_night: date


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What scoring a stream of batches left behind.

    Attributes:
        files: Unpublished files of the scores table.
        rows_in: Rows read.
        rejected: Rows that the model could not take, as rows of the quarantine table.
    """

    files: tuple[DataFile, ...]
    rows_in: int
    rejected: tuple[dict[str, Any], ...]


def score_batches(batches: Iterator[pa.RecordBatch], task: ScoringTask) -> Scored:
    """Predict every row and write it; a row with an infinite input or no finite prediction is rejected.

    The memory needed is that of one batch and the open files' buffers, whatever the number of rows.
    """
    use_case = load_use_case(task.use_case)
    table = table_uri(task.lake, use_case.score_table.name)
    rows_in = 0
    rejected: list[dict[str, Any]] = []
    with files.explained(table), TableFileWriter(table, arrow_schema(use_case.score_table), ("ds",)) as writer:
        for batch in batches:
            if not batch.num_rows:
                continue
            rows_in += batch.num_rows
            scored, unscorable = _score(batch, use_case, task)
            rejected.extend(unscorable)
            if scored.num_rows:
                writer.write(scored)
        return Scored(files=tuple(writer.close()), rows_in=rows_in, rejected=tuple(rejected))


def _score(batch: pa.RecordBatch, use_case: UseCase, task: ScoringTask) -> tuple[pa.RecordBatch, list[dict[str, Any]]]:
    import numpy as np
    import pyarrow as pa

    model = _model(task.model_folder, task.model_sha256)
    finite = ~np.isinf(model.encode(batch)).any(axis=1)
    rejected = _quarantine_rows(batch.filter(pa.array(~finite)), "input_is_finite", use_case, task)
    batch = batch.filter(pa.array(finite))
    prediction = model.predict(batch)
    finite = np.isfinite(prediction)
    rejected += _quarantine_rows(batch.filter(pa.array(~finite)), "prediction_is_finite", use_case, task)
    batch, prediction = batch.filter(pa.array(finite)), prediction[finite]
    nights = Nights(first=task.first_night, last=task.last_night, timezone=use_case.timezone)
    moments: dict[date, datetime] = {night: nights.prediction_moment(night) for night in nights}
    constant = {
        "model_name": task.model_name,
        "model_version": task.model_version,
        "model_sha256": task.model_sha256,
        "features_version": task.features_version,
        "dag_run_id": task.run_id,
    }
    threshold = model.card.threshold
    decision = pa.nulls(len(prediction), pa.bool_()) if threshold is None else pa.array(prediction >= threshold)
    columns: dict[str, Any] = {
        "prediction": pa.array(prediction, pa.float64()),
        DECISION.name: decision,
        "scored_at": pa.array([moments[ds] for ds in batch.column("ds").to_pylist()], pa.timestamp("us", tz="UTC")),
    }
    schema = arrow_schema(use_case.score_table)
    for field in schema:
        if field.name in constant:
            columns[field.name] = pa.repeat(pa.scalar(constant[field.name], field.type), batch.num_rows)
        elif field.name not in columns:
            columns[field.name] = batch.column(field.name).cast(field.type)
    scored = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
    return scored, rejected


def _quarantine_rows(rejected: pa.RecordBatch, rule: str, use_case: UseCase, task: ScoringTask) -> list[dict[str, Any]]:
    return [
        {
            "ds": row["ds"].isoformat(),
            "table": use_case.feature_table.name,
            "rules": [rule],
            "row": json.dumps(row, default=str, sort_keys=True),
            "dag_run_id": task.run_id,
        }
        for row in rejected.to_pylist()
    ]


@lru_cache(maxsize=2)
def _model(folder: str, sha256: str) -> TabularModel:
    """Load a model once a worker process, checked against its registered checksum."""
    return TabularModel.load(folder, sha256=sha256)
