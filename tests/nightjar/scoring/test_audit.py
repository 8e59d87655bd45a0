from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nightjar.contracts.errors import ContractError, GateError
from nightjar.lake import delta
from nightjar.lake.delta import DataFile
from nightjar.lake.parquet import write_files
from nightjar.scoring.audit import audit_scores
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


def write(lake: str, rows: list[dict[str, Any]]) -> list[DataFile]:
    schema = delta.arrow_schema(SCORES)
    relaxed = pa.schema([field.with_nullable(True) for field in schema])
    batch = pa.RecordBatch.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=relaxed)
    return write_files(iter([batch]), delta.table_uri(lake, SCORES.name), relaxed, ("ds",))


def publish(lake: str, rows: list[dict[str, Any]], nights: list[date]) -> None:
    delta.commit(lake, SCORES, write(lake, rows), nights, run_id="r")


def test_good_scores_pass_and_are_compared_with_the_last_published_night(lake: str) -> None:
    publish(lake, [score(FIRST, 1, 0.1), score(FIRST, 2, 0.3)], [FIRST])
    audit = audit_scores(USE_CASE, lake, write(lake, [score(SECOND, 1, 0.4)]), [SECOND], 1)
    assert (audit.rows, audit.mean_prediction) == (1, 0.4)
    assert (audit.last_night, audit.last_mean) == (FIRST, 0.2)


def test_the_first_night_has_none_to_be_compared_with(lake: str) -> None:
    audit = audit_scores(USE_CASE, lake, write(lake, [score(FIRST, 1)]), [FIRST], 1)
    assert (audit.last_night, audit.last_mean) == (None, None)


def test_a_rerun_is_compared_with_the_night_before_not_with_itself(lake: str) -> None:
    publish(lake, [score(FIRST, 1, 0.2)], [FIRST])
    publish(lake, [score(SECOND, 1, 0.9)], [SECOND])
    audit = audit_scores(USE_CASE, lake, write(lake, [score(SECOND, 1, 0.3)]), [SECOND], 1)
    assert audit.last_night == FIRST


@pytest.mark.parametrize(
    ("rows", "expected", "message", "how_many"),
    [
        pytest.param([score(FIRST, 1)], 3, "1 rows are written, 3 were scored", 2, id="rows lost"),
        pytest.param([score(FIRST, 1), score(FIRST, 1)], 2, "keys are there twice", 1, id="key twice"),
        pytest.param([score(FIRST, 1, None)], 1, "column prediction has nulls", 1, id="null prediction"),
        pytest.param([score(FIRST, 1, carrier=None)], 1, "column carrier has nulls", 1, id="null key"),
        pytest.param([score(FIRST, 1, 1.5), score(FIRST, 2, -0.1)], 2, "outside 0 to 1", 2, id="out of range"),
        pytest.param([score(FIRST, 1, float("nan"))], 1, "outside 0 to 1", 1, id="not a number"),
        pytest.param([score(SECOND, 1)], 1, "nights without a score: 2013-04-01", 1, id="other night"),
    ],
)
def test_bad_scores_are_refused(
    lake: str, rows: list[dict[str, Any]], expected: int, message: str, how_many: int
) -> None:
    with pytest.raises(ContractError, match=message) as failure:
        audit_scores(USE_CASE, lake, write(lake, rows), [FIRST], expected)
    assert failure.value.how_many == how_many
    assert not delta.table_exists(lake, SCORES.name)


def test_a_shift_against_the_last_night_is_refused(lake: str) -> None:
    publish(lake, [score(FIRST, 1, 0.1)], [FIRST])
    with pytest.raises(ContractError, match=r"mean prediction is 0.900, it was 0.100 on 2013-04-01"):
        audit_scores(USE_CASE, lake, write(lake, [score(SECOND, 1, 0.9)]), [SECOND], 1)


def test_an_audit_that_cannot_look_does_not_pass(lake: str) -> None:
    with pytest.raises(GateError, match="no scores to audit"):
        audit_scores(USE_CASE, lake, [], [FIRST], 0)
    written = write(lake, [score(FIRST, 1)])
    (Path(delta.table_uri(lake, SCORES.name)) / written[0].path).unlink()
    with pytest.raises(GateError, match="a file to audit is not there"):
        audit_scores(USE_CASE, lake, written, [FIRST], 1)
