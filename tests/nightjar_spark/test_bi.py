"""Analysts' clients read what the product has published: the same rows from each of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from py4j.protocol import Py4JJavaError
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError
from tests.nightjar.scoring.test_audit import USE_CASE, publish, score

from nightjar.lake.lake import Lake
from nightjar.local.bi import USER, password, sql_server
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.query import connect
from nightjar.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.e2e]
NIGHTS = [date(2013, 4, 1), date(2013, 4, 2), date(2013, 5, 2)]
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
        publish(Lake(lake), rows, [night])
    for name in ("raw/OK", "raw/cut", "raw/orders.bak", "raw/a-dash", "raw/a`tick", "raw-data/words"):
        write_words(paths.lake / name, "other")
    write_words(paths.lake / "raw" / "ok", "lower")
    commit = paths.lake / "raw" / "cut" / "_delta_log" / f"{0:020}.json"
    commit.write_bytes(commit.read_bytes()[:50])
    return paths


def write_words(folder: Path, word: str) -> None:
    """Write a table of one column and row."""
    write_deltalake(str(folder), pa.table({"word": [word]}))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait at most two minutes."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def processes_of(paths: Paths) -> list[str]:
    """Command lines that name the lake."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_text().replace("\0", " ")
            if str(paths.lake) in line:
                found.append(line)
    return found


class Jdbc:
    """The JDBC driver for Hive, from Spark's own JARs, in the JVM of the tests' session; one connection."""

    def __init__(self, spark: SparkSession, port: int, secret: str) -> None:
        jvm: Any = spark._jvm
        properties = jvm.java.util.Properties()
        properties.setProperty("user", USER)
        properties.setProperty("password", secret)
        self.connection = jvm.org.apache.hive.jdbc.HiveDriver().connect(f"jdbc:hive2://127.0.0.1:{port}/", properties)
        self.metadata = self.connection.getMetaData()

    def ask(self, sql: str) -> list[dict[str, str | None]]:
        """The rows of the answer."""
        statement = self.connection.createStatement()
        try:
            return rows_of(statement.executeQuery(sql))
        finally:
            statement.close()

    def refusal(self, sql: str) -> str:
        """The error of a statement that is refused."""
        try:
            self.ask(sql)
        except Py4JJavaError as error:
            return str(error.java_exception.getMessage())
        return ""


def rows_of(found: Any) -> list[dict[str, str | None]]:
    """The rows of a JDBC result set, by column label."""
    columns = found.getMetaData()
    labels = [columns.getColumnLabel(place + 1) for place in range(columns.getColumnCount())]
    rows = []
    while found.next():
        rows.append({label: found.getString(place + 1) for place, label in enumerate(labels)})
    return rows


@pytest.fixture(scope="module")
def port(published: Paths) -> Iterator[int]:
    """The server that `make bi` starts."""
    with Progress() as progress, sql_server(published, progress) as (port, _):
        assert len(processes_of(published)) >= 2  # the supervisor, the JVM, its Python
        yield port
    assert processes_of(published) == []


@pytest.fixture(scope="module")
def jdbc(published: Paths, spark: SparkSession, port: int) -> Iterator[Jdbc]:
    """A client of JDBC that is logged in."""
    client = Jdbc(spark, port, password(published))
    yield client
    client.connection.close()


@pytest.fixture(scope="module")
def pyhive(published: Paths, port: int) -> Iterator[Engine]:
    """SQLAlchemy over PyHive, by the address that the documentation gives Superset."""
    engine = create_engine(f"hive://{USER}:{password(published)}@127.0.0.1:{port}/default?auth=CUSTOM")
    yield engine
    engine.dispose()


def typed(rows: list[dict[str, Any]]) -> list[tuple[str, int, float]]:
    return [(row["carrier"], int(row["flights"]), float(row["highest"])) for row in rows]


def test_every_client_gives_the_same_rows(published: Paths, spark: SparkSession, jdbc: Jdbc, pyhive: Engine) -> None:
    table, uri = TABLE.name.replace("/", "."), Lake(str(published.lake)).table(TABLE).uri
    found: dict[str, list[tuple[str, int, float]]] = {}
    with connect(published.lake) as connection:
        found["DuckDB"] = connection.sql(QUESTION.format(table=table)).fetchall()
    asked = spark.sql(QUESTION.format(table=f"delta.`{uri}`")).collect()
    found["Spark SQL"] = typed([row.asDict() for row in asked])
    frame = (
        Lake(str(published.lake))
        .table(TABLE)
        .open()
        .to_pandas(filters=[("ds", ">=", NIGHTS[1])], columns=["carrier", "prediction"])
    )
    grouped = frame.groupby("carrier").prediction.agg(["count", "max"])
    found["delta-rs and pandas"] = [(str(name), int(row["count"]), row["max"]) for name, row in grouped.iterrows()]
    lazy = pl.scan_delta(uri).filter(pl.col("ds") >= NIGHTS[1]).group_by("carrier")
    found["polars"] = lazy.agg(pl.len(), pl.col("prediction").max()).sort("carrier").collect().rows()
    found["Hive JDBC"] = typed(jdbc.ask(QUESTION.format(table=table)))
    with pyhive.connect() as asking:
        found["PyHive"] = [tuple(row) for row in asking.execute(text(QUESTION.format(table=table)))]
    assert found == dict.fromkeys(found, ANSWER)


def test_a_client_of_jdbc_finds_tables_comments_and_the_latest_scores(jdbc: Jdbc) -> None:
    described = {row["col_name"]: row["comment"] for row in jdbc.ask("DESCRIBE scores.flight_delay")}
    comments = {column.name: column.comment for column in TABLE.columns}
    assert {name: described[name] for name in comments} == comments
    assert jdbc.ask("SELECT count(*) AS n FROM scores.flight_delay_latest") == [{"n": "15"}]


def test_show_tables_has_the_name_first_as_hive_has_it_and_the_columns_of_spark(jdbc: Jdbc) -> None:
    """PyHive takes the first column; Metabase takes ``tableName`` and ``namespace``."""
    tables = jdbc.ask("SHOW TABLES IN scores")
    assert [row["tableName"] for row in tables] == ["flight_delay", "flight_delay_latest"]
    assert [list(row) for row in tables] == [["tableName", "namespace", "isTemporary"]] * 2
    assert [list(row.values())[:2] for row in jdbc.ask("SHOW VIEWS IN scores")] == [
        ["flight_delay", "scores"], ["flight_delay_latest", "scores"],
    ]  # fmt: skip
    (latest,) = jdbc.ask("SHOW TABLES IN scores LIKE '*latest'")
    assert latest["tableName"] == "flight_delay_latest"
    (extended,) = jdbc.ask("SHOW TABLE EXTENDED IN scores LIKE 'flight_delay'")
    assert list(extended) == ["namespace", "tableName", "isTemporary", "information"]


def test_the_metadata_that_dbeaver_reads_has_schemas_tables_columns_and_types(jdbc: Jdbc) -> None:
    metadata = jdbc.metadata
    assert {row["TABLE_SCHEM"] for row in rows_of(metadata.getSchemas())} >= {"scores", "raw"}
    tables = {(row["TABLE_NAME"], row["TABLE_TYPE"]) for row in rows_of(metadata.getTables(None, "scores", "%", None))}
    assert tables == {("flight_delay", "VIEW"), ("flight_delay_latest", "VIEW")}
    columns = rows_of(metadata.getColumns(None, "scores", "flight_delay", "%"))
    assert [row["COLUMN_NAME"] for row in columns] == list(TABLE.column_names)
    assert [row["REMARKS"] for row in columns] == [column.comment for column in TABLE.columns]
    types = {row["COLUMN_NAME"]: row["TYPE_NAME"] for row in columns}
    named = [types[name] for name in ("ds", "flight", "prediction", "scored_at")]
    assert named == ["DATE", "INT", "DOUBLE", "TIMESTAMP"]
    assert {"DATE", "DOUBLE", "STRING"} <= {row["TYPE_NAME"] for row in rows_of(metadata.getTypeInfo())}
    assert rows_of(metadata.getPrimaryKeys(None, "scores", "flight_delay")) == []
    assert {row["TABLE_TYPE"] for row in rows_of(metadata.getTableTypes())} >= {"VIEW"}


def test_superset_through_pyhive_finds_schemas_tables_views_and_columns(pyhive: Engine) -> None:
    found = inspect(pyhive)
    assert {"raw", "scores"} <= set(found.get_schema_names())
    assert found.get_table_names(schema="scores") == ["flight_delay", "flight_delay_latest"]
    assert found.get_table_names(schema="raw") == ["ok"]
    assert [column["name"] for column in found.get_columns("flight_delay", schema="scores")] == list(TABLE.column_names)
    with pyhive.connect() as connection:  # Superset's own statement for views
        views = connection.execute(text("SHOW VIEWS IN `scores`")).fetchall()
    assert [row[0] for row in views] == ["flight_delay", "flight_delay_latest"]


SUPERSET_GRAINS = {
    "hour": "from_unixtime(unix_timestamp({col}), 'yyyy-MM-dd HH:00:00')",
    "day": "from_unixtime(unix_timestamp({col}), 'yyyy-MM-dd 00:00:00')",
    "month": "from_unixtime(unix_timestamp({col}), 'yyyy-MM-01 00:00:00')",
    "quarter": "date_format(add_months(trunc({col}, 'MM'), -(month({col})-1)%3), 'yyyy-MM-dd 00:00:00')",
    "year": "from_unixtime(unix_timestamp({col}), 'yyyy-01-01 00:00:00')",
}
"""Of Superset 6.1.0: ``HiveEngineSpec.get_time_grain_expressions()``, less the three weeks."""


def test_superset_time_grains_have_the_beginning_of_the_period(pyhive: Engine) -> None:
    columns = ", ".join(grain.format(col="ds") for grain in SUPERSET_GRAINS.values())
    with pyhive.connect() as connection:
        (row,) = connection.execute(text(f"SELECT DISTINCT {columns} FROM scores.flight_delay WHERE ds = '2013-05-02'"))
    assert [str(value) for value in row] == [
        "2013-05-02 00:00:00", "2013-05-02 00:00:00", "2013-05-01 00:00:00", "2013-04-01 00:00:00",
        "2013-01-01 00:00:00",
    ]  # fmt: skip


def test_the_week_that_the_documentation_gives_superset_begins_on_monday_or_sunday(pyhive: Engine) -> None:
    page = (Paths.here().root / "docs" / "bi.md").read_text()
    settings: dict[str, Any] = {}
    exec(page.split("```python")[1].split("```")[0], settings)  # a part of superset_config.py
    grains = settings["TIME_GRAIN_ADDON_EXPRESSIONS"]["hive"]
    columns = ", ".join(f"CAST({grain.format(col='day')} AS date)" for grain in grains.values())
    days = "(SELECT explode(sequence(DATE '2013-04-01', DATE '2013-04-08')) AS day)"  # Monday to Monday
    with pyhive.connect() as connection:
        found = connection.execute(text(f"SELECT day, {columns} FROM {days} ORDER BY day")).fetchall()
    weeks = {str(row[0]): dict(zip(grains, map(str, row[1:]), strict=True)) for row in found}
    saturday, sunday = "P1W/1970-01-03T00:00:00Z", "1969-12-28T00:00:00Z/P1W"
    assert {day: week["P1W"] for day, week in weeks.items()} == {
        **{f"2013-04-0{day}": "2013-04-01" for day in range(1, 8)}, "2013-04-08": "2013-04-08",
    }  # fmt: skip
    assert {day: week[saturday] for day, week in weeks.items()} == {
        **{f"2013-04-0{day}": "2013-04-06" for day in range(1, 7)},
        "2013-04-07": "2013-04-13", "2013-04-08": "2013-04-13",
    }  # fmt: skip
    assert {day: week[sunday] for day, week in weeks.items()} == {
        **{f"2013-04-0{day}": "2013-03-31" for day in range(1, 7)},
        "2013-04-07": "2013-04-07", "2013-04-08": "2013-04-07",
    }  # fmt: skip


def test_superset_own_weeks_are_refused_and_would_split_a_week(pyhive: Engine) -> None:
    """Why the documentation gives other expressions in place of a setting."""
    week = "date_sub(day, CAST(7-from_unixtime(unix_timestamp(day),'u') as int))"  # of Superset 6.1.0
    question = text(f"SELECT day, {week} FROM (SELECT explode(array(DATE '2013-04-01', DATE '2013-04-02')) AS day)")
    with pyhive.connect() as connection:
        with pytest.raises(DatabaseError, match="Fail to recognize"):
            connection.execute(question)
        connection.execute(text("SET spark.sql.legacy.timeParserPolicy=LEGACY"))
        assert [str(row[1]) for row in connection.execute(question)] == ["2013-03-26", "2013-03-28"]
        connection.execute(text("SET spark.sql.legacy.timeParserPolicy=CORRECTED"))


def test_tables_that_cannot_be_views_are_named_in_the_log_and_all_others_are_served(
    published: Paths, port: int, jdbc: Jdbc
) -> None:
    names = {row["tableName"] for row in jdbc.ask("SHOW TABLES IN raw")}
    assert names == {"ok"}
    assert jdbc.ask("SELECT word FROM raw.ok") == [{"word": "lower"}]
    log = (published.logs / "bi.log").read_text()
    for path, reason in {
        "raw/orders.bak": "accepts only letters, digits and _",
        "raw/a-dash": "accepts only letters, digits and _",
        "raw/a`tick": "accepts only letters, digits and _",
        "raw-data/words": "accepts only letters, digits and _",
        "raw/OK": "differs from raw/ok by case alone",
        "raw/cut": "cannot be opened",
    }.items():
        said = [line for line in log.splitlines() if f"left out {path}: " in line]
        assert [reason in line for line in said] == [True], path


def test_the_latest_night_can_be_asked_for(jdbc: Jdbc) -> None:
    question = "SELECT DISTINCT ds FROM scores.flight_delay WHERE ds = (SELECT max(ds) FROM scores.flight_delay)"
    assert jdbc.ask(question) == [{"ds": "2013-05-02"}]


def test_wrong_password_is_refused(published: Paths, spark: SparkSession, port: int) -> None:
    with pytest.raises(Py4JJavaError, match="Error validating the login"):
        Jdbc(spark, port, "guessed")
    login = published.var / "bi" / "login"
    assert login.stat().st_mode & 0o077 == 0
    secret = login.read_text().split(":")[1]
    assert secret not in (published.logs / "bi.log").read_text()
    assert [line for line in processes_of(published) if secret in line] == []


def test_a_client_of_jdbc_cannot_write(published: Paths, jdbc: Jdbc, tmp_path: Path) -> None:
    before = Lake(str(published.lake)).table(TABLE).open().version()
    table = f"delta.`{Lake(str(published.lake)).table(TABLE).uri}`"
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
    wanted = {sql: f"is read-only and rejects {command}" for sql, command in refused.items()}
    assert [sql for sql, words in wanted.items() if words not in jdbc.refusal(sql)] == []
    assert Lake(str(published.lake)).table(TABLE).open().version() == before
    assert not (tmp_path / "out").exists()
    assert jdbc.ask("SELECT count(*) AS n FROM scores.flight_delay WHERE ds >= '2013-04-01'") == [{"n": "15"}]


def test_a_night_published_meanwhile_is_there_at_once(published: Paths, jdbc: Jdbc) -> None:
    night = date(2013, 3, 31)
    publish(Lake(str(published.lake)), [score(night, 1)], [night])
    assert jdbc.ask("SELECT count(*) AS n FROM scores.flight_delay WHERE ds = '2013-03-31'") == [{"n": "1"}]


def test_a_table_that_comes_and_goes_is_a_view_that_comes_and_goes(published: Paths, jdbc: Jdbc) -> None:
    write_words(published.lake / "raw" / "later", "later")
    wait_for(lambda: {row["tableName"] for row in jdbc.ask("SHOW TABLES IN raw")} == {"ok", "later"})
    shutil.rmtree(published.lake / "raw" / "later")
    wait_for(lambda: {row["tableName"] for row in jdbc.ask("SHOW TABLES IN raw")} == {"ok"})


def test_an_old_night_stays_readable_by_its_version(published: Paths, spark: SparkSession) -> None:
    uri = Lake(str(published.lake)).table(TABLE).uri
    then = Lake(str(published.lake)).table(TABLE).open(2).to_pyarrow_table()
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
