"""The audit between writing a night's scores and publishing them: nobody reads what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from nightjar.contracts.errors import ContractError, GateError
from nightjar.contracts.use_case import UseCase
from nightjar.lake import delta, files
from nightjar.lake.delta import DataFile, arrow_schema, table_uri

if TYPE_CHECKING:
    import pyarrow as pa


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


def audit_scores(
    use_case: UseCase, lake: str, data_files: Sequence[DataFile], nights: Sequence[date], expected_rows: int
) -> Audit:
    """Check unpublished scores: row count, every night there, keys, nulls, range, and the shift against the last night.

    Raises:
        GateError: when there is nothing to look at.
        ContractError: when the scores must not be published.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    where = table_uri(lake, use_case.score_table.name)
    if not data_files or not expected_rows:
        raise GateError(
            "there are no scores to audit", where=where, how_many=0, fix="clear `score` and look at its log"
        )
    scores = pa.concat_tables([_read(use_case, lake, file) for file in data_files])
    _refuse(
        scores.num_rows != expected_rows,
        f"{scores.num_rows} rows are written, {expected_rows} were scored",
        where,
        abs(scores.num_rows - expected_rows),
    )
    missing = set(nights) - set(scores["ds"].unique().to_pylist())
    _refuse(bool(missing), f"nights without a score: {', '.join(map(str, sorted(missing)))}", where, len(missing))
    for column in use_case.score_table.columns:
        nulls = 0 if column.nullable else scores[column.name].null_count
        _refuse(bool(nulls), f"column {column.name} has nulls", where, nulls)
    keys = scores.group_by(["ds", *use_case.key]).aggregate([([], "count_all")])
    _refuse(keys.num_rows != scores.num_rows, "keys are there twice", where, scores.num_rows - keys.num_rows)
    inside = pc.and_(pc.greater_equal(scores["prediction"], 0.0), pc.less_equal(scores["prediction"], 1.0))
    outside = scores.num_rows - (pc.sum(inside).as_py() or 0)
    _refuse(bool(outside), "predictions lie outside 0 to 1", where, outside)
    mean = float(pc.mean(scores["prediction"]).as_py())
    last_night, last_mean = _last_published(use_case, lake, min(nights))
    if last_mean is not None:
        _refuse(
            abs(mean - last_mean) > use_case.audit.max_mean_shift,
            f"the mean prediction is {mean:.3f}, it was {last_mean:.3f} on {last_night} "
            f"(allowed shift {use_case.audit.max_mean_shift})",
            where,
            scores.num_rows,
        )
    return Audit(rows=scores.num_rows, mean_prediction=mean, last_night=last_night, last_mean=last_mean)


def _read(use_case: UseCase, lake: str, file: DataFile) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    uri = f"{table_uri(lake, use_case.score_table.name)}/{file.path}"
    system, path = files.filesystem(uri)
    try:
        table = pq.read_table(path, filesystem=system, partitioning=None)
    except FileNotFoundError as error:
        raise GateError("a file to audit is not there", where=uri, fix="clear `score`: it writes them again") from error
    ds = pa.repeat(pa.scalar(date.fromisoformat(file.partition["ds"]), pa.date32()), table.num_rows)
    return table.append_column("ds", ds).select(arrow_schema(use_case.score_table).names)


def _last_published(use_case: UseCase, lake: str, before: date) -> tuple[date | None, float | None]:
    """The latest published night before ``before``, and its mean prediction; from the log's partitions, one is read."""
    import pyarrow.compute as pc

    name = use_case.score_table.name
    if not delta.table_exists(lake, name):
        return None, None
    nights = [date.fromisoformat(partition["ds"]) for partition in delta.open_table(lake, name).partitions()]
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
