"""Audit of a night's scores before they are published; scores that fail stay unpublished."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from nightjar.declaration.use_case import UseCase
from nightjar.lake import files
from nightjar.lake.active_files import active_files
from nightjar.lake.lake import Lake
from nightjar.problems.registry import problem_type
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.errors import ContractError, GateError
from nightjar.protocol.scores import Part
from nightjar.scoring.keys import count_duplicate_keys

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Figures of scores that passed their audit.

    Attributes:
        rows: Rows in the files.
        means: Means of their prediction, as the problem type defines them.
        last_night: The last published night, which they are compared with; None for the first night.
        last_means: Its means; empty for the first night.
    """

    rows: int
    means: Mapping[str, float]
    last_night: date | None
    last_means: Mapping[str, float]


def audit_scores(use_case: UseCase, lake: Lake, part: Part, nights: Collection[date]) -> Audit:
    """Check unpublished scores, and return their figures.

    The checks are: share of rejected rows, row count, missing nights, nulls, duplicate keys, range of the predictions,
    and shift of their means against the last published night. Files are read in batches. The check for duplicates holds
    eight bytes for each row, one night at a time.

    Raises:
        GateError: without scores to audit.
        ContractError: when the scores must not be published.
    """
    where = lake.table(use_case.score_table).uri
    data_files = part.files
    if not part.rows_in:
        raise GateError(
            "there are no scores to audit", where=where, how_many=0, fix="clear `score` and look at its log"
        )
    _fail_if(
        part.rows_rejected > use_case.scoring.audit.max_rejected_share * part.rows_in,
        f"the model cannot take {part.rows_rejected} of {part.rows_in} rows (allowed share "
        f"{use_case.scoring.audit.max_rejected_share}; the rows are in {use_case.quarantine_table.name})",
        where,
        part.rows_rejected,
    )
    statistics = [_read_statistics(use_case, lake, file) for file in data_files]
    rows = sum(file.rows for file in statistics)
    _fail_if(
        rows != part.rows_out,
        f"{rows} rows were written, but {part.rows_out} were scored",
        where,
        abs(rows - part.rows_out),
    )
    missing = set(nights) - {date.fromisoformat(file.partition["ds"]) for file in data_files}
    _fail_if(bool(missing), f"nights without a score: {', '.join(map(str, sorted(missing)))}", where, len(missing))
    for column in _required(use_case):
        nulls = sum(file.nulls[column] for file in statistics)
        _fail_if(bool(nulls), f"column {column} has nulls", where, nulls)
    duplicates = _count_duplicate_keys(use_case, lake, data_files)
    _fail_if(bool(duplicates), "rows have duplicate keys", where, duplicates)
    problem = problem_type(use_case.problem)
    out_of_range = sum(file.out_of_range for file in statistics)
    _fail_if(bool(out_of_range), problem.out_of_range, where, out_of_range)
    means = {name: total / rows for name, total in _add_up([file.sums for file in statistics]).items()}
    last_night, last_means = _last_published(use_case, lake, min(nights))
    if last_means:
        declared = use_case.scoring.audit.max_mean_shift
        allowed = problem.max_mean_shift if declared is None else declared
        shift, moved = problem.mean_shift(means, last_means)
        _fail_if(shift > allowed, f"{moved} on {last_night} (allowed shift {allowed:g})", where, rows)
    return Audit(rows=rows, means=means, last_night=last_night, last_means=last_means)


@dataclass(frozen=True, kw_only=True)
class _FileStatistics:
    """Statistics of one file: rows, nulls by required column, predictions out of range, and sums for the means."""

    rows: int
    nulls: Mapping[str, int]
    out_of_range: int
    sums: Mapping[str, float]


@files.with_retries
def _read_statistics(use_case: UseCase, lake: Lake, file: DataFile) -> _FileStatistics:
    problem = problem_type(use_case.problem)
    out_of_range, sums = 0, []
    with _open(use_case, lake, file) as parquet:
        rows = parquet.metadata.num_rows
        nulls = {name: _count_nulls(parquet, name) for name in _required(use_case)}
        for batch in parquet.iter_batches(columns=list(problem.audit_columns)):
            out_of_range += problem.count_out_of_range(batch)
            sums.append(problem.sums(batch))
    return _FileStatistics(rows=rows, nulls=nulls, out_of_range=out_of_range, sums=_add_up(sums))


def _add_up(sums: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Add sums by name."""
    return {name: math.fsum(part[name] for part in sums) for name in (sums[0] if sums else ())}


def _required(use_case: UseCase) -> list[str]:
    """Return the columns of the files that must have a value in every row."""
    schema = use_case.score_table
    return [column.name for column in schema.columns if not column.nullable and column.name not in schema.partition_by]


def _count_nulls(parquet: pq.ParquetFile, column: str) -> int:
    """Count by the file's statistics, or by its values where it has none; a missing column has only nulls."""
    metadata = parquet.metadata
    if column not in parquet.schema_arrow.names:
        return int(metadata.num_rows)
    nulls = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = map(group.column, range(group.num_columns))
        statistics = next(chunk.statistics for chunk in chunks if chunk.path_in_schema == column)
        if statistics is None or not statistics.has_null_count:
            nulls += parquet.read_row_group(number, columns=[column]).column(column).null_count
        else:
            nulls += statistics.null_count
    return nulls


@files.with_retries
def _count_duplicate_keys(use_case: UseCase, lake: Lake, data_files: Sequence[DataFile]) -> int:
    """Number of rows that repeat the key of an earlier row of their night."""
    by_night: dict[str, list[DataFile]] = {}
    for file in data_files:
        by_night.setdefault(file.partition["ds"], []).append(file)

    def keys(night_files: list[DataFile]) -> Iterator[pa.RecordBatch]:
        for file in night_files:
            with _open(use_case, lake, file) as parquet:
                yield from parquet.iter_batches(columns=list(use_case.key))

    return sum(count_duplicate_keys(partial(keys, night_files)) for night_files in by_night.values())


@contextmanager
def _open(use_case: UseCase, lake: Lake, file: DataFile) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    uri = files.contained(lake.table(use_case.score_table).uri, file.path)
    system, path = files.filesystem(uri)
    fix = "clear `score`, which writes the scores again"
    try:
        with files.storage_errors(uri), system.open_input_file(path) as source, pq.ParquetFile(source) as parquet:
            yield parquet
    except FileNotFoundError as error:
        raise GateError("a file of scores is missing", where=uri, fix=fix) from error
    except pa.ArrowException as error:
        raise GateError(f"a file of scores cannot be read ({error})", where=uri, fix=fix) from error


def _last_published(use_case: UseCase, lake: Lake, first_night: date) -> tuple[date | None, dict[str, float]]:
    """Return the last published night before ``first_night`` and the means of its predictions; reads one partition."""
    scores = lake.table(use_case.score_table)
    if not scores.exists():
        return None, {}
    active = active_files(scores.open(), {})
    nights = [date.fromisoformat(night) for night in {file.partition["ds"] for file in active}]
    earlier = [night for night in nights if night < first_night]
    if not earlier:
        return None, {}
    night = max(earlier)
    problem = problem_type(use_case.problem)
    published = scores.read_nights([night], list(problem.audit_columns))
    return night, {name: total / len(published) for name, total in problem.sums(published).items()}


def _fail_if(is_broken: bool, problem: str, where: str, how_many: int) -> None:
    if is_broken:
        raise ContractError(
            f"the scores fail their audit and stay unpublished: {problem}",
            where=where,
            how_many=how_many,
            fix="check the features and the model version of this run, then clear `score`",
        )
