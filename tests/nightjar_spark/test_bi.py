"""Analysts' clients read what the product has published: the same rows from each of them."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.nightjar.scoring.test_audit import USE_CASE, publish, score

from nightjar.contracts.errors import ConfigurationError
from nightjar.lake import delta
from nightjar.local.bi import USER, password, sql_server
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.query import connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.e2e]
NIGHTS = [date(2013, 4, day) for day in (1, 2, 3)]
TABLE = USE_CASE.score_table
QUESTION = (
    "SELECT carrier, count(*) AS flights, max(prediction) AS highest FROM {table} "
    "WHERE ds >= '2013-04-02' GROUP BY carrier ORDER BY carrier"
)
ANSWER = [("DL", 4, 0.75), ("UA", 6, 0.5)]
"""The second night was published twice; the later one holds."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """Three nights of scores, one of them run again."""
    paths = Paths(Paths.here().root, tmp_path_factory.mktemp("bi") / "var")
    lake = str(paths.lake)
    for night, highest in ((NIGHTS[0], 0.9), (NIGHTS[1], 0.99), (NIGHTS[2], 0.75), (NIGHTS[1], 0.5)):
        rows = [score(night, i, 0.5 if i else min(highest, 0.5)) for i in range(3)]
        rows += [score(night, i, highest if i == 5 else 0.25, carrier="DL") for i in (4, 5)]
        publish(lake, rows, [night])
    return paths


def processes_of(paths: Paths) -> list[str]:
    """Command lines that name the lake."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_text().replace("\0", " ")
            if str(paths.lake) in line:
                found.append(line)
    return found


def hive_client(paths: Paths, port: int, *statements: str, secret: str = "") -> subprocess.CompletedProcess[str]:
    """Run the Hive client of Spark's own JARs; it goes on after a statement that fails."""
    jars = f"{paths.spark_home}/jars/*"
    command = ["java", "-cp", jars, "org.apache.hive.beeline.BeeLine", "-u", f"jdbc:hive2://127.0.0.1:{port}"]
    command += ["-n", USER, "-p", secret or password(paths), "--silent=true", "--force=true"]
    command += ["--outputformat=tsv2", *(part for sql in statements for part in ("-e", sql))]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))


def beeline(paths: Paths, port: int, sql: str) -> list[dict[str, str]]:
    """What the Hive client prints, as rows."""
    done = hive_client(paths, port, sql)
    lines = [line.split("> ", 1)[-1] for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not lines:
        raise AssertionError(done.stdout + done.stderr)
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def port(published: Paths) -> Iterator[int]:
    """The server that `make bi` starts."""
    with Progress() as progress, sql_server(published, progress) as (port, _):
        assert len(processes_of(published)) >= 2  # the supervisor, the JVM, its Python
        yield port
    assert processes_of(published) == []


def typed(rows: list[dict[str, Any]]) -> list[tuple[str, int, float]]:
    return [(row["carrier"], int(row["flights"]), float(row["highest"])) for row in rows]


def test_every_client_gives_the_same_rows(published: Paths, spark: SparkSession, port: int) -> None:
    table, uri = TABLE.name.replace("/", "."), delta.table_uri(str(published.lake), TABLE.name)
    found: dict[str, list[tuple[str, int, float]]] = {}
    with connect(published.lake) as connection:
        found["DuckDB"] = connection.sql(QUESTION.format(table=table)).fetchall()
    asked = spark.sql(QUESTION.format(table=f"delta.`{uri}`")).collect()
    found["Spark SQL"] = typed([row.asDict() for row in asked])
    frame = delta.open_table(str(published.lake), TABLE.name).to_pandas(
        filters=[("ds", ">=", NIGHTS[1])], columns=["carrier", "prediction"]
    )
    grouped = frame.groupby("carrier").prediction.agg(["count", "max"])
    found["delta-rs and pandas"] = [(str(name), int(row["count"]), row["max"]) for name, row in grouped.iterrows()]
    lazy = pl.scan_delta(uri).filter(pl.col("ds") >= NIGHTS[1]).group_by("carrier")
    found["polars"] = lazy.agg(pl.len(), pl.col("prediction").max()).sort("carrier").collect().rows()
    found["Hive JDBC"] = typed(beeline(published, port, QUESTION.format(table=table)))
    assert found == dict.fromkeys(found, ANSWER)


def test_a_client_of_jdbc_finds_tables_comments_and_the_latest_scores(published: Paths, port: int) -> None:
    names = {row["tableName"] for row in beeline(published, port, "SHOW TABLES IN scores")}
    assert names == {"flight_delay", "flight_delay_latest"}
    described = {row["col_name"]: row["comment"] for row in beeline(published, port, "DESCRIBE scores.flight_delay")}
    comments = {column.name: column.comment for column in TABLE.columns}
    assert {name: described[name] for name in comments} == comments
    (row,) = beeline(published, port, "SELECT count(*) AS n FROM scores.flight_delay_latest")
    assert int(row["n"]) == 15


def test_a_client_that_browses_sees_the_columns(published: Paths, port: int) -> None:
    listed = hive_client(published, port, "!columns flight_delay").stdout
    assert [column for column in TABLE.column_names if f"\t{column}\t" not in listed] == []


def test_the_latest_night_can_be_asked_for(published: Paths, port: int) -> None:
    question = "SELECT DISTINCT ds FROM scores.flight_delay WHERE ds = (SELECT max(ds) FROM scores.flight_delay)"
    assert beeline(published, port, question) == [{"ds": "2013-04-03"}]


def test_who_does_not_know_the_password_is_refused(published: Paths, port: int) -> None:
    done = hive_client(published, port, "SELECT 1 AS one", secret="guessed")
    assert "Error validating the login" in done.stderr
    assert "one" not in done.stdout
    login = published.var / "bi" / "login"
    assert login.stat().st_mode & 0o077 == 0
    secret = login.read_text().split(":")[1]
    assert secret not in (published.logs / "bi.log").read_text()
    assert [line for line in processes_of(published) if secret in line] == []


def test_a_client_of_jdbc_cannot_write(published: Paths, port: int, tmp_path: Path) -> None:
    before = delta.open_table(str(published.lake), TABLE.name).version()
    table = f"delta.`{delta.table_uri(str(published.lake), TABLE.name)}`"
    refused = {
        f"INSERT INTO {table} SELECT * FROM scores.flight_delay": "AppendData",
        f"DELETE FROM {table}": "DeleteCommand",
        f"UPDATE {table} SET prediction = 1": "UpdateCommand",
        f"MERGE INTO {table} t USING scores.flight_delay s ON t.ds = s.ds WHEN MATCHED THEN DELETE":
            "MergeIntoCommand",
        f"EXECUTE IMMEDIATE 'TRUNCATE TABLE {table}'": "TruncateDeltaTableCommand",
        f"OPTIMIZE {table}": "OptimizeTableCommand",
        f"VACUUM {table}": "VacuumTableCommand",
        f"RESTORE TABLE {table} TO VERSION AS OF 1": "RestoreTableCommand",
        f"ALTER TABLE {table} SET TBLPROPERTIES ('a' = 'b')": "SetTableProperties",
        "DROP VIEW scores.flight_delay": "DropTableCommand",
        "DROP DATABASE scores CASCADE": "DropNamespace",
        "CREATE OR REPLACE VIEW scores.flight_delay AS SELECT 1 AS one": "CreateViewCommand",
        "CREATE TABLE one AS SELECT 1 AS one": "CreateDataSourceTableAsSelectCommand",
        f"INSERT OVERWRITE DIRECTORY '{tmp_path}/out' USING csv SELECT 1": "InsertIntoDataSourceDirCommand",
        "ADD JAR '/none.jar'": "AddJarsCommand",
    }  # fmt: skip
    said = hive_client(published, port, *refused).stderr
    assert [sql for sql, command in refused.items() if f"only reads, and refuses {command}" not in said] == []
    assert delta.open_table(str(published.lake), TABLE.name).version() == before
    assert not (tmp_path / "out").exists()
    (row,) = beeline(published, port, "SELECT count(*) AS n FROM scores.flight_delay WHERE ds >= '2013-04-01'")
    assert int(row["n"]) == 15


def test_a_night_published_meanwhile_is_there_at_once(published: Paths, port: int) -> None:
    night = date(2013, 3, 31)
    publish(str(published.lake), [score(night, 1)], [night])
    (row,) = beeline(published, port, "SELECT count(*) AS n FROM scores.flight_delay WHERE ds = '2013-03-31'")
    assert int(row["n"]) == 1


def test_an_old_night_stays_readable_by_its_version(published: Paths, spark: SparkSession) -> None:
    uri = delta.table_uri(str(published.lake), TABLE.name)
    then = delta.open_table(str(published.lake), TABLE.name, 2).to_pyarrow_table()
    by_spark = spark.sql(f"SELECT max(prediction) AS highest FROM delta.`{uri}` VERSION AS OF 2").collect()
    assert by_spark[0]["highest"] == max(then["prediction"].to_pylist()) == 0.99


def test_a_row_an_entity_and_night(published: Paths) -> None:
    with connect(published.lake) as connection:
        keys = ", ".join(("ds", *USE_CASE.key))
        twice = connection.sql(f"SELECT {keys} FROM scores.flight_delay GROUP BY {keys} HAVING count(*) > 1").fetchall()
    assert twice == []


def test_without_a_lake_it_says_what_to_do(tmp_path: Path) -> None:
    paths = replace(Paths.here(), state=tmp_path)
    with (
        pytest.raises(ConfigurationError, match="do: fill it with `make run`"),
        Progress() as progress,
        sql_server(paths, progress),
    ):
        pass


def test_the_questions_of_the_documentation_have_answers(published: Paths) -> None:
    page = (Paths.here().root / "docs" / "bi.md").read_text()
    questions = [q for q in page.split("```sql")[1].split("```")[0].split(";") if q.strip() and "quarantine" not in q]
    assert len(questions) == 3
    with connect(published.lake) as connection:
        answers = [connection.sql(question).fetchall() for question in questions]
    assert [row[0] for row in answers[0]] == sorted((row[0] for row in answers[0]), reverse=True)
    assert len(answers[1]) >= 15
    assert answers[2] == []
