"""The audit between writing a night's scores and publishing them: nobody reads what it refuses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta, files
from nightjar.lake.delta import DataFile, table_uri
from nightjar.lake.held_files import held_files
from nightjar.protocol.errors import ContractError, GateError
from nightjar.scoring.keys import rows_with_a_key_seen_before
from nightjar.scoring.task import Part

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was looked at.

    Attributes:
        rows: Rows in the files.
        mean_prediction: Their mean prediction.
        last_night: The published night that they were compared with; None when there is none yet.
        last_mean: Its mean prediction.
    """

    rows: int
    mean_prediction: float
    last_night: date | None
    last_mean: float | None


def audit_scores(use_case: UseCase, lake: str, part: Part, nights: Collection[date]) -> Audit:
    """Check unpublished scores: the share of rows that the model could not take, row count, every night there, keys,
    nulls, range, and the shift against the last night.

    The files are read in batches; what is kept of a row are eight bytes of its key, one night at a time.

    Raises:
        GateError: when there is nothing to look at.
        ContractError: when the scores must not be published.
    """
    where = table_uri(lake, use_case.score_table.name)
    data_files = part.files
    if not part.rows_in:
        raise GateError(
            "there are no scores to audit", where=where, how_many=0, fix="clear `score` and look at its log"
        )
    _refuse(
        part.rows_rejected > use_case.audit.max_rejected_share * part.rows_in,
        f"the model cannot take {part.rows_rejected} of {part.rows_in} rows (allowed share "
        f"{use_case.audit.max_rejected_share}; the rows are in {use_case.quarantine_table.name})",
        where,
        part.rows_rejected,
    )
    seen = [_read_statistics(use_case, lake, file) for file in data_files]
    rows = sum(one.rows for one in seen)
    _refuse(
        rows != part.rows_out,
        f"{rows} rows are written, {part.rows_out} were scored",
        where,
        abs(rows - part.rows_out),
    )
    missing = set(nights) - {date.fromisoformat(file.partition["ds"]) for file in data_files}
    _refuse(bool(missing), f"nights without a score: {', '.join(map(str, sorted(missing)))}", where, len(missing))
    for column in use_case.score_table.columns:
        nulls = 0 if column.nullable else sum(one.nulls.get(column.name, 0) for one in seen)
        _refuse(bool(nulls), f"column {column.name} has nulls", where, nulls)
    twice = _keys_twice(use_case, lake, data_files)
    _refuse(bool(twice), "keys are there twice", where, twice)
    outside = rows - sum(one.inside for one in seen)
    _refuse(bool(outside), "predictions lie outside 0 to 1", where, outside)
    mean = math.fsum(one.total for one in seen) / rows
    last_night, last_mean = _last_published(use_case, lake, min(nights))
    if last_mean is not None:
        _refuse(
            abs(mean - last_mean) > use_case.audit.max_mean_shift,
            f"the mean prediction is {mean:.3f}, it was {last_mean:.3f} on {last_night} "
            f"(allowed shift {use_case.audit.max_mean_shift})",
            where,
            rows,
        )
    return Audit(rows=rows, mean_prediction=mean, last_night=last_night, last_mean=last_mean)


@dataclass(frozen=True, kw_only=True)
class _FileStatistics:
    """What a file holds: rows, nulls by column, predictions within 0 to 1, and the sum of all predictions."""

    rows: int
    nulls: Mapping[str, int]
    inside: int
    total: float


@files.patient
def _read_statistics(use_case: UseCase, lake: str, file: DataFile) -> _FileStatistics:
    import pyarrow.compute as pc

    inside, totals = 0, []
    with _open(use_case, lake, file) as parquet:
        metadata = parquet.metadata
        for batch in parquet.iter_batches(columns=["prediction"]):
            prediction = batch.column("prediction")
            within = pc.and_(pc.greater_equal(prediction, 0.0), pc.less_equal(prediction, 1.0))
            inside += pc.sum(within).as_py() or 0
            totals.append(pc.sum(prediction).as_py() or 0.0)
    nulls: Counter[str] = Counter()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            nulls[column.path_in_schema] += column.statistics.null_count if column.statistics else 0
    return _FileStatistics(rows=metadata.num_rows, nulls=nulls, inside=inside, total=math.fsum(totals))


@files.patient
def _keys_twice(use_case: UseCase, lake: str, data_files: Sequence[DataFile]) -> int:
    """Rows whose night has had their key before."""
    by_night: dict[str, list[DataFile]] = {}
    for file in data_files:
        by_night.setdefault(file.partition["ds"], []).append(file)

    def keys(of_night: list[DataFile]) -> Iterator[pa.RecordBatch]:
        for file in of_night:
            with _open(use_case, lake, file) as parquet:
                yield from parquet.iter_batches(columns=list(use_case.key))

    return sum(rows_with_a_key_seen_before(partial(keys, of_night)) for of_night in by_night.values())


@contextmanager
def _open(use_case: UseCase, lake: str, file: DataFile) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    uri = files.contained(table_uri(lake, use_case.score_table.name), file.path)
    system, path = files.filesystem(uri)
    fix = "clear `score`: it writes them again"
    try:
        with files.explained(uri), system.open_input_file(path) as source, pq.ParquetFile(source) as parquet:
            yield parquet
    except FileNotFoundError as error:
        raise GateError("a file to audit is not there", where=uri, fix=fix) from error
    except pa.ArrowException as error:
        raise GateError(f"a file to audit cannot be read ({error})", where=uri, fix=fix) from error


def _last_published(use_case: UseCase, lake: str, before: date) -> tuple[date | None, float | None]:
    """The latest published night before ``before``, and its mean prediction; from the log's partitions, one is read."""
    import pyarrow.compute as pc

    name = use_case.score_table.name
    if not delta.table_exists(lake, name):
        return None, None
    held = held_files(delta.open_table(lake, name), {})
    nights = [date.fromisoformat(night) for night in {file.partition["ds"] for file in held}]
    earlier = [night for night in nights if night < before]
    if not earlier:
        return None, None
    night = max(earlier)
    mean = pc.mean(delta.read_nights(lake, name, [night], ["prediction"])["prediction"]).as_py()
    return night, mean


def _refuse(broken: bool, what: str, where: str, how_many: int) -> None:
    if broken:
        raise ContractError(
            f"the scores fail their audit and stay unpublished: {what}",
            where=where,
            how_many=how_many,
            fix="look at the features and the model version of this run; then clear `score`",
        )
