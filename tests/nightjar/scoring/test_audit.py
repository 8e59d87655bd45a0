from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.declarations import with_fields

from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Multiclass, Problem, Regression
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.protocol.data_file import DataFile
from nightjar.protocol.errors import ContractError, GateError
from nightjar.protocol.scores import Part, ScoringModel
from nightjar.scoring.audit import Audit, audit_scores
from use_cases.flight_delay.use_case import USE_CASE

SCORES = USE_CASE.score_table
FIRST, SECOND = date(2013, 4, 1), date(2013, 4, 2)


def score(ds: date, flight: int, prediction: float | None = 0.2, **other: Any) -> dict[str, Any]:
    """A row of the scores table."""
    return {
        "ds": ds,
        "flight_date": date.fromordinal(ds.toordinal() + 1),
        "carrier": "UA",
        "flight": flight,
        "origin": "EWR",
        "dest": "IAH",
        "tailnum": "N14228",
        "scheduled_departure": datetime(2013, 4, 2, 9, 15, tzinfo=UTC),
        "prediction": prediction,
        "model_name": "flight_delay",
        "model_version": "1",
        "model_sha256": "ab",
        "features_version": 3,
        "dag_run_id": "r",
        "scored_at": datetime(2013, 4, 2, 4, tzinfo=UTC),
        "decision": False,
        "fallback_reason": None,
        **other,
    }


def write(lake: Lake, rows: list[dict[str, Any]], use_case: UseCase = USE_CASE) -> list[DataFile]:
    schema = delta.arrow_schema(use_case.score_table)
    relaxed = pa.schema([field.with_nullable(True) for field in schema])
    batch = pa.RecordBatch.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=relaxed)
    return write_files(iter([batch]), lake.table(SCORES).uri, relaxed, ("ds",))


def publish(lake: Lake, rows: list[dict[str, Any]], nights: list[date], use_case: UseCase = USE_CASE) -> None:
    lake.table(use_case.score_table).commit(write(lake, rows, use_case), nights, run_id="r")


def audited(
    lake: Lake, files: list[DataFile], night: date, rows_in: int | None = None, use_case: UseCase = USE_CASE
) -> Audit:
    """The audit of files whose rows were all scored, unless ``rows_in`` says that more came in."""
    scoring_model = ScoringModel(name="flight_delay", version="1", sha256="ab", folder="x")
    rows = sum(file.rows for file in files) if rows_in is None else rows_in
    return audit_scores(use_case, lake, Part(scoring_model=scoring_model, files=tuple(files), rows_in=rows), [night])


def test_good_scores_pass_and_are_compared_with_the_last_published_night(lake: Lake) -> None:
    publish(lake, [score(FIRST, 1, 0.1), score(FIRST, 2, 0.3)], [FIRST])
    audit = audited(lake, write(lake, [score(SECOND, 1, 0.4)]), SECOND)
    assert (audit.rows, audit.means) == (1, {"prediction": 0.4})
    assert (audit.last_night, audit.last_means) == (FIRST, {"prediction": 0.2})


def test_first_night_has_no_comparison(lake: Lake) -> None:
    audit = audited(lake, write(lake, [score(FIRST, 1)]), FIRST)
    assert (audit.last_night, audit.last_means) == (None, {})


def test_a_rerun_is_compared_with_the_night_before_not_with_itself(lake: Lake) -> None:
    publish(lake, [score(FIRST, 1, 0.2)], [FIRST])
    publish(lake, [score(SECOND, 1, 0.9)], [SECOND])
    audit = audited(lake, write(lake, [score(SECOND, 1, 0.3)]), SECOND)
    assert audit.last_night == FIRST


@pytest.mark.parametrize(
    ("rows", "message", "how_many"),
    [
        pytest.param([score(FIRST, 1), score(FIRST, 1)], "rows have duplicate keys", 1, id="key twice"),
        pytest.param([score(FIRST, 1, None)], "column prediction has nulls", 1, id="null prediction"),
        pytest.param([score(FIRST, 1, carrier=None)], "column carrier has nulls", 1, id="null key"),
        pytest.param([score(FIRST, 1, 1.5), score(FIRST, 2, -0.1)], "outside 0 to 1", 2, id="out of range"),
        pytest.param([score(FIRST, 1, float("nan"))], "outside 0 to 1", 1, id="not a number"),
        pytest.param([score(SECOND, 1)], "nights without a score: 2013-04-01", 1, id="other night"),
    ],
)
def test_bad_scores_are_refused(lake: Lake, rows: list[dict[str, Any]], message: str, how_many: int) -> None:
    with pytest.raises(ContractError, match=message) as failure:
        audited(lake, write(lake, rows), FIRST)
    assert failure.value.how_many == how_many
    assert not lake.table(SCORES).exists()


@pytest.mark.parametrize("statistics", [True, False])
def test_nulls_are_counted_without_statistics_too_and_a_missing_column_has_only_nulls(
    lake: Lake, statistics: bool
) -> None:
    (file,) = write(lake, [score(FIRST, flight) for flight in range(4)])
    path = lake.table(SCORES).uri + "/" + file.path
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table, path, write_statistics=statistics)
    assert audited(lake, [file], FIRST).rows == 4
    index = table.schema.get_field_index("carrier")
    some = table.set_column(index, "carrier", pa.array([None, "AA", None, "AA"]))
    pq.write_table(some, path, write_statistics=statistics)
    with pytest.raises(ContractError, match="column carrier has nulls") as failure:
        audited(lake, [file], FIRST)
    assert failure.value.how_many == 2
    pq.write_table(table.drop_columns(["model_version"]), path, write_statistics=statistics)
    with pytest.raises(ContractError, match="column model_version has nulls") as failure:
        audited(lake, [file], FIRST)
    assert failure.value.how_many == 4


def test_fewer_rows_in_files_than_scored_are_refused(lake: Lake) -> None:
    (file,) = write(lake, [score(FIRST, 1)])
    with pytest.raises(ContractError, match="1 rows were written, but 3 were scored") as failure:
        audited(lake, [replace(file, rows=3)], FIRST)
    assert failure.value.how_many == 2


def test_too_many_rejected_rows_are_refused(lake: Lake) -> None:
    rows = [score(FIRST, flight) for flight in range(98)]
    with pytest.raises(ContractError, match=r"the model cannot take 2 of 100 rows \(allowed share 0.01") as failure:
        audited(lake, write(lake, rows), FIRST, rows_in=100)
    assert failure.value.how_many == 2
    assert audited(lake, write(lake, [*rows, score(FIRST, 98)]), FIRST, rows_in=100).rows == 99
    with pytest.raises(ContractError, match="the model cannot take 5 of 5 rows"):
        audited(lake, [], FIRST, rows_in=5)


def test_a_shift_against_the_last_night_is_refused(lake: Lake) -> None:
    publish(lake, [score(FIRST, 1, 0.1)], [FIRST])
    with pytest.raises(ContractError, match=r"mean prediction is 0.900, it was 0.100 on 2013-04-01"):
        audited(lake, write(lake, [score(SECOND, 1, 0.9)]), SECOND)


CLASSES = Multiclass(classes=("early", "late", "lost"))
BAND = Regression(unit="min", loss="quantile", quantiles=(0.25, 0.5, 0.75))


def of_problem(problem: Problem, max_mean_shift: float | None = None) -> UseCase:
    audit = {"max_mean_shift": max_mean_shift}
    return with_fields(
        USE_CASE, problem=problem, gate=Gate(), monitoring={"retraining": None}, scoring={"audit": audit}
    )


def band(ds: date, flight: int, low: float, median: float, high: float) -> dict[str, Any]:
    """A row of numbers with quantiles."""
    return score(ds, flight, median, q25=low, q50=median, q75=high)


def classes(ds: date, flight: int, early: float, late: float, lost: float) -> dict[str, Any]:
    """A row of classes with their probabilities."""
    return {**score(ds, flight), "prediction": "early", "p_early": early, "p_late": late, "p_lost": lost}


def test_classes_are_compared_by_the_mean_probability_of_each(lake: Lake) -> None:
    use_case = of_problem(CLASSES)
    publish(lake, [classes(FIRST, 1, 0.2, 0.3, 0.5), classes(FIRST, 2, 0.4, 0.3, 0.3)], [FIRST], use_case)
    audit = audited(lake, write(lake, [classes(SECOND, 1, 0.5, 0.1, 0.4)], use_case), SECOND, use_case=use_case)
    assert audit.means == {"p_early": 0.5, "p_late": 0.1, "p_lost": 0.4}
    assert audit.last_means == pytest.approx({"p_early": 0.3, "p_late": 0.3, "p_lost": 0.4})
    files = write(lake, [classes(SECOND, 1, 0.2, 0.6, 0.2)], use_case)
    with pytest.raises(ContractError, match=r"the mean of p_late is 0.600, it was 0.300 on 2013-04-01 \(.* 0.25\)"):
        audited(lake, files, SECOND, use_case=use_case)
    assert audited(lake, files, SECOND, use_case=of_problem(CLASSES, 0.35)).rows == 1


def test_numbers_are_compared_in_standard_deviations_of_the_last_night(lake: Lake) -> None:
    use_case = of_problem(BAND)
    publish(lake, [band(FIRST, 1, 5.0, 10.0, 20.0), band(FIRST, 2, 15.0, 20.0, 30.0)], [FIRST], use_case)
    audit = audited(lake, write(lake, [band(SECOND, 1, 15.0, 19.0, 21.0)], use_case), SECOND, use_case=use_case)
    assert (audit.means, audit.last_means) == (
        {"prediction": 19.0, "square": 361.0},
        {"prediction": 15.0, "square": 250.0},
    )
    files = write(lake, [band(SECOND, 1, 15.0, 21.0, 25.0)], use_case)
    moved = r"the mean prediction is 21, it was 15 with a standard deviation of 5 on 2013-04-01 \(allowed shift 1\)"
    with pytest.raises(ContractError, match=moved):
        audited(lake, files, SECOND, use_case=use_case)
    assert audited(lake, files, SECOND, use_case=of_problem(BAND, 1.5)).rows == 1


@pytest.mark.parametrize(
    ("problem", "rows", "message", "how_many"),
    [
        (CLASSES, [classes(FIRST, 1, 0.5, 0.5, 0.1), classes(FIRST, 2, 0.2, 0.3, 0.5)], "do not add up to 1", 1),
        (CLASSES, [classes(FIRST, 1, 1.5, -0.5, 0.0)], "probabilities are outside 0 to 1", 1),
        (BAND, [band(FIRST, 1, 2.0, 1.0, 3.0), band(FIRST, 2, 1.0, 2.0, 3.0)], "quantiles do not ascend", 1),
        (BAND, [band(FIRST, 1, 1.0, 2.0, float("inf"))], "predictions are not finite", 1),
        (Regression(unit="min", loss="poisson"), [score(FIRST, 1, -0.1)], "not finite, below 0", 1),
    ],
)
def test_scores_out_of_the_range_of_their_problem_are_refused(
    lake: Lake, problem: Problem, rows: list[dict[str, Any]], message: str, how_many: int
) -> None:
    use_case = of_problem(problem)
    with pytest.raises(ContractError, match=message) as failure:
        audited(lake, write(lake, rows, use_case), FIRST, use_case=use_case)
    assert failure.value.how_many == how_many


def test_audit_without_readable_scores_fails(lake: Lake) -> None:
    with pytest.raises(GateError, match="no scores to audit"):
        audited(lake, [], FIRST)
    written = write(lake, [score(FIRST, 1)])
    file = Path(lake.table(SCORES).uri) / written[0].path
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(GateError, match="a file of scores cannot be read") as torn:
        audited(lake, written, FIRST)
    assert torn.value.where == str(file)
    file.unlink()
    with pytest.raises(GateError, match="a file of scores is missing"):
        audited(lake, written, FIRST)
