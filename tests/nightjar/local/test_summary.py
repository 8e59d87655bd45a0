"""The closing message, from literal results in a small lake."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.program_results import neutral_result

from nightjar.declaration.use_case import load_use_case
from nightjar.local import plan, results, summary
from nightjar.local.query import run_query
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.job import JobResult
from nightjar.protocol.results import (
    EvaluateResult,
    GateResult,
    IngestResult,
    PromoteResult,
    ReportDriftResult,
    ScoreResult,
)

USE_CASE = load_use_case("flight_delay")
NIGHT = date(2013, 4, 3)


def leave(lake: Path, run: str, task: str, result: JobResult) -> None:
    folder = lake / "_runs" / run / task
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(dump_json(result))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    lake = tmp_path / "lake"
    night, training = "flight_delay_nightly/night__2013-04-03", "flight_delay_training/training__2013-01-01__2013-03-31"
    leave(lake, night, "ingest", neutral_result(IngestResult, rows_in=1005, rows_out=1000, rows_rejected=5))
    leave(lake, night, "score", neutral_result(ScoreResult, rows_in=935, rows_out=934, rows_rejected=1))
    report = f"{lake}/reports/flight_delay/2013-04-03/drift.html"
    leave(lake, night, "report_drift", neutral_result(ReportDriftResult, report=report))
    evaluated = neutral_result(
        EvaluateResult, rows_out=12345, metrics={"holdout_auc": 0.70712, "holdout_log_loss": 0.48771}
    )
    leave(lake, training, "evaluate", evaluated)
    promoted = neutral_result(PromoteResult, reason="version 1 is champion, in place of none")
    leave(lake, training, "gate", neutral_result(GateResult))
    leave(lake, training, "promote", promoted)
    flights = range(1, 21)
    write_deltalake(
        str(lake / "scores" / "flight_delay"),
        pa.table(
            {
                "ds": [NIGHT] * 20,
                "flight_date": [date(2013, 4, 4)] * 20,
                "carrier": ["UA"] * 20,
                "flight": pa.array(flights, pa.int32()),
                "origin": ["EWR"] * 20,
                "dest": ["ORD"] * 20,
                "tailnum": [None] + ["N1"] * 19,
                "scheduled_departure": pa.array([datetime(2013, 4, 4, 11, tzinfo=UTC)] * 20, pa.timestamp("us", "UTC")),
                "prediction": [number / 100 for number in flights],
            }
        ),
        partition_by=["ds"],
    )
    return lake


def message(lake: Path) -> str:
    return summary.render(
        nights=[results.night_outcome(lake, plan.night(USE_CASE, NIGHT), NIGHT)],
        training=results.training_outcome(lake, plan.training(USE_CASE, *plan.first_history(USE_CASE)), USE_CASE),
        riskiest=results.riskiest(lake, USE_CASE, NIGHT),
        airflow_url="http://127.0.0.1:8080",
        mlflow_url="http://127.0.0.1:5000",
        login=("admin", "secret"),
        lake=lake,
        score_table="scores/flight_delay",
        seconds=312.4,
    )


def test_the_message_says_what_was_made_and_where_it_is(lake: Path) -> None:
    lines = message(lake).splitlines()
    assert lines[1:5] == [
        "Nights",
        "night       scored  not scored  raw rows rejected  drift verdict",
        "----------  ------  ----------  -----------------  -------------",
        "2013-04-03     934           1                  5  stable",
    ]
    assert (
        "Model   version 1: log_loss 0.4877 on 12,345 rows held out; version 1 is champion, in place of none" in lines
    )
    assert f"Report  {lake}/reports/flight_delay/2013-04-03/drift.html" in lines
    assert "        http://127.0.0.1:8080/nightjar/files/reports/flight_delay/2013-04-03/drift.html" in lines
    assert "Airflow http://127.0.0.1:8080   user admin, password secret" in lines
    assert lines[-1] == "Done in 312 s"


def test_the_ten_riskiest_come_first_and_there_are_ten(lake: Path) -> None:
    columns, rows = results.riskiest(lake, USE_CASE, NIGHT)
    assert columns[:4] == ["flight_date", "carrier", "flight", "origin"]
    assert [row[2] for row in rows] == list(range(20, 10, -1))
    assert rows[0][-1] == 0.2


def test_the_snippet_works_as_pasted(lake: Path) -> None:
    text = message(lake)
    program = text.split("<<'EOF'\n")[1].split("\nEOF")[0]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "2013-04-03" in done.stdout
    assert "0.105" in done.stdout


def test_query_lists_the_tables_and_answers(lake: Path) -> None:
    assert "scores.flight_delay" in run_query(lake, "")
    assert "20" in run_query(lake, "SELECT max(flight) FROM scores.flight_delay WHERE ds = DATE '2013-04-03'")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/nightjar-must-not-be.csv'",
        "INSTALL httpfs",
        "ATTACH '/tmp/nightjar-must-not-be.db'",
        "SET enable_external_access = true",
        "DELETE FROM scores.flight_delay",
        "SELEC 1",
    ],
)
def test_query_reaches_nothing_but_the_tables_and_changes_nothing(lake: Path, sql: str) -> None:
    with pytest.raises(ConfigurationError, match="where: SQL"):
        run_query(lake, sql)


def test_query_on_an_empty_lake_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="fill it with `make run`"):
        run_query(tmp_path, "")
