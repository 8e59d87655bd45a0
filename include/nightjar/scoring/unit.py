"""Score one unit of a feature table into unpublished files; runs inside Spark tasks."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.tables import TableSchema
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import files
from nightjar.lake.delta import arrow_schema
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import TableFileWriter
from nightjar.lake.scan import Reader, Unit
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.scores import Part, ScoringModel
from nightjar.registry.cache import load_from_lake
from nightjar.scoring.batches import batch_rows, score_batch
from nightjar.scoring.split import parts, splitting
from nightjar.scoring.task import Scored, ScoringTask
from nightjar.training.model import TabularModel

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@files.with_retries  # a failed attempt removes the files that it has written
def score_unit(unit: Unit, *, reader: Reader, task: ScoringTask) -> Scored:
    """Read the unit, predict every row, and write scores, rejected rows and the shadow's scores in the same pass.

    Memory holds one batch and the buffers of the open files, for any number of rows.
    """
    use_case = load_use_case(task.use_case)
    columns = list(dict.fromkeys(("ds", *use_case.feature_table.column_names)))
    models = {
        variant: load_model(scoring_model.folder, scoring_model.sha256)
        for variant, scoring_model in task.scoring_models.items()
    }
    rows_in = dict.fromkeys(task.scoring_models, 0)
    with ExitStack() as stack:
        stack.enter_context(files.storage_errors(task.lake.uri))
        scores = {
            variant: stack.enter_context(_writer(task.lake, use_case.score_table)) for variant in task.scoring_models
        }
        quarantine = stack.enter_context(_writer(task.lake, use_case.quarantine_table))
        shadow = stack.enter_context(_Shadow(use_case, task))
        for batch in reader.read(unit, columns, batch_rows=batch_rows(len(columns))):
            if not batch.num_rows:
                continue
            for variant, rows, split in _by_variant(batch, use_case, task):
                rows_in[variant] += rows.num_rows
                scored = score_batch(
                    rows,
                    models[variant],
                    task.scoring_models[variant],
                    use_case,
                    task,
                    variant=variant if split else None,
                )
                if scored.scores.num_rows:
                    scores[variant].write(scored.scores)
                if scored.rejected is not None:
                    quarantine.write(scored.rejected)
            shadow.score(batch)
        return Scored(
            parts={
                variant: Part(
                    scoring_model=scoring_model, files=tuple(scores[variant].close()), rows_in=rows_in[variant]
                )
                for variant, scoring_model in task.scoring_models.items()
            },
            quarantined=tuple(quarantine.close()),
            shadow_files=shadow.close(),
            shadow_error=shadow.error,
            peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        )


def _by_variant(
    batch: pa.RecordBatch, use_case: UseCase, task: ScoringTask
) -> Iterator[tuple[str, pa.RecordBatch, bool]]:
    """Yield variant, its rows, and whether an experiment splits the night; otherwise all rows are the champion's."""
    experiment = splitting(use_case, batch.column("ds")[0].as_py()) if len(task.scoring_models) > 1 else None
    if experiment is None:
        yield CHAMPION, batch, False
    else:
        for variant, rows in parts(batch, experiment, use_case.key):
            yield variant, rows, True


class _Shadow:
    """Scores of the shadow model for one unit; its errors never fail the night."""

    def __init__(self, use_case: UseCase, task: ScoringTask) -> None:
        self.error = ""
        self._use_case, self._task = use_case, task
        self._scoring_model: ScoringModel | None = task.shadow
        self._writer = _writer(task.lake, use_case.shadow_table)

    def __enter__(self) -> _Shadow:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._writer.discard()

    def score(self, batch: pa.RecordBatch) -> None:
        """Predict and write the rows, unless the shadow has failed already."""
        if self._scoring_model is None:
            return
        try:
            model = load_model(self._scoring_model.folder, self._scoring_model.sha256)
            scores = score_batch(batch, model, self._scoring_model, self._use_case, self._task).scores
            if scores.num_rows:
                self._writer.write(scores)
        except Exception as error:  # a shadow never fails the night
            self._give_up(error)

    def close(self) -> tuple[DataFile, ...]:
        """Return the written files; none when the shadow has failed."""
        try:
            return tuple(self._writer.close()) if not self.error else ()
        except Exception as error:
            self._give_up(error)
            return ()

    def _give_up(self, error: Exception) -> None:
        self.error = f"{type(error).__name__}: {error}"
        self._scoring_model = None
        log.warning("the shadow stops scoring: %s", self.error)
        with suppress(Exception):  # the files left behind belong to no table
            self._writer.discard()


@lru_cache(maxsize=16)  # an experiment may have several variants, and a shadow
def load_model(folder: str, sha256: str) -> TabularModel:
    """Load a model once for each worker process, from a local copy checked against the registered checksum."""
    return load_from_lake(folder, sha256)


def _writer(lake: Lake, schema: TableSchema) -> TableFileWriter:
    return TableFileWriter(lake.table(schema).uri, arrow_schema(schema), schema.partition_by)
