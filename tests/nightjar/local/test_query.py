"""SQL over the lake's tables."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.nightjar.scoring.test_audit import USE_CASE, publish, score

import use_cases
from nightjar.declaration.sql import quote_ansi, quote_spark
from nightjar.declaration.views import View
from nightjar.lake.lake import Lake
from nightjar.local.query import connect, run_query
from nightjar.protocol.errors import ConfigurationError

ODD_NAMES = (
    "orders.bak", "a-dash", "a space", 'a"quote', "an'apostrophe", "a`tick", "Größe", "表", "select", "at", "table",
    "100", "a#b", "a;b", "$x", "a$(b)", "[b]", "{b,c}", "*", "delta_0", "ds=1", "-",
)  # fmt: skip


def put(lake: str, name: str, **columns: list[object]) -> None:
    """Write a Delta table of one commit, wherever it is called."""
    folder = Path(lake, name)
    folder.mkdir(parents=True)
    written = Path(lake, "_written")
    write_deltalake(str(written), pa.table(columns or {"word": ["one", "two"]}))
    for entry in written.iterdir():
        entry.rename(folder / entry.name)
    written.rmdir()


@pytest.fixture
def words(lake: Lake) -> Path:
    put(lake.uri, "raw/words")
    return Path(lake.uri)


def test_tables_are_listed_and_read(words: Path) -> None:
    assert "raw.words" in run_query(words, "")
    assert "two" in run_query(words, "SELECT max(word) FROM raw.words")


def test_the_latest_scores_have_each_entity_once_with_its_latest_night(lake: Lake) -> None:
    schema, first, second = USE_CASE.score_table, date(2013, 4, 1), date(2013, 4, 2)
    rows = [
        score(first, 1, 0.1), score(first, 2, 0.2),
        score(second, 2, 0.9, flight_date=second), score(second, 3, 0.3, carrier="DL"),
    ]  # fmt: skip
    publish(lake, rows, [first, second])
    name = schema.name.replace("/", ".")
    with connect(Path(lake.uri)) as connection:
        found = connection.sql(f"SELECT ds, flight, prediction FROM {name}_latest ORDER BY flight").fetchall()
        columns = connection.sql(f"SELECT * FROM {name}_latest").columns
    assert found == [(first, 1, 0.1), (second, 2, 0.9), (second, 3, 0.3)]
    assert set(columns) == set(schema.column_names)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing FROM raw.words",
        pytest.param("SELECT CAST(word AS INTEGER) FROM raw.words", id="fails only when it is run"),
        "SELECT * FROM read_csv('/etc/passwd')",
    ],
)
def test_what_cannot_be_run_is_one_clear_line(words: Path, sql: str) -> None:
    with pytest.raises(ConfigurationError, match="where: SQL") as error:
        run_query(words, sql)
    assert "\n" not in str(error.value)


def test_a_listing_of_sixty_tables_and_a_view_names_each_with_its_rows(lake: Lake) -> None:
    for number in range(60):
        put(lake.uri, f"raw/t{number}", n=list(range(number + 1)))
    publish(lake, [score(date(2013, 4, 1), 1, 0.1)], [date(2013, 4, 1)])
    listed = dict(line.split() for line in run_query(Path(lake.uri), "").splitlines()[2:] if len(line.split()) == 2)
    expected = {f"raw.t{number}": str(number + 1) for number in range(60)}
    assert listed == expected | {"scores.flight_delay": "1", "scores.flight_delay_latest": "1"}


def test_a_folder_of_any_name_is_a_table_that_can_be_read_as_it_is_listed(words: Path) -> None:
    for name in ODD_NAMES:
        put(str(words), f"raw/{name}")
        put(str(words), f"{name}/words")
    with connect(words) as connection:
        for name in ODD_NAMES:
            for path in (("raw", name), (name, "words")):
                (count,) = connection.sql(f"SELECT count(*) FROM {quote_ansi('memory', *path)}").fetchall()
                assert (path, count) == (path, (2,))
    listing = run_query(words, "")
    assert "left out" not in listing
    assert '\nraw."orders.bak" ' in listing
    assert "two" in run_query(words, 'SELECT max(word) FROM raw."orders.bak"')


def test_a_folder_whose_name_delta_cannot_open_is_named_in_one_line(words: Path) -> None:
    put(str(words), "raw/line\nbreak")
    put(str(words), "raw/back\\slash")
    lines = run_query(words, "").splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("left out")] == [
        "left out raw/back\\slash", "left out raw/line\\nbreak",
    ]  # fmt: skip
    assert lines[2].split() == ["raw.words", "2"]


@pytest.mark.parametrize("schema", ["temp", "memory", "system", "main", "information_schema", "pg_catalog"])
def test_a_schema_with_the_name_of_one_of_duckdb_leaves_the_others_readable(words: Path, schema: str) -> None:
    put(str(words), f"{schema}/words")
    with connect(words) as connection:
        assert connection.sql("SELECT max(word) FROM raw.words").fetchall() == [("two",)]
    lines = [line for line in run_query(words, "").splitlines() if not line.startswith("make query")]
    assert len([line for line in lines if f"{schema}." in line or f"{schema}/" in line]) == 1


def corrupt(words: Path, kind: str) -> None:
    """Add a table that cannot be opened."""
    put(str(words), "raw/corrupted")
    log = words / "raw" / "corrupted" / "_delta_log"
    commit = log / f"{0:020}.json"
    match kind:
        case "cut log":
            commit.write_bytes(commit.read_bytes()[:100])
        case "empty log":
            commit.write_bytes(b"")
        case "no commit":
            commit.unlink()
        case "log is a file":
            shutil.rmtree(log)
            log.write_text("")
        case "not text":
            commit.write_bytes(b"\xff\xfe\x00")
        case "unknown feature":
            protocol = '{"protocol":{"minReaderVersion":99,"minWriterVersion":99}}'
            lines = [line for line in commit.read_text().splitlines() if "protocol" not in line]
            commit.write_text("\n".join([protocol, *lines]))
        case "link to nowhere":
            commit.unlink()
            commit.symlink_to("/nowhere")


@pytest.mark.parametrize(
    "kind",
    ["cut log", "empty log", "no commit", "log is a file", "not text", "unknown feature", "link to nowhere"],
)
def test_a_table_that_cannot_be_opened_is_named_and_the_others_are_read(
    words: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    corrupt(words, kind)
    assert "two" in run_query(words, "SELECT max(word) FROM raw.words")
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("left out raw/corrupted: ")
    listing = run_query(words, "").splitlines()
    assert "raw.words       2" in listing or "raw.words     2" in listing
    assert said in listing


def test_a_table_whose_file_is_gone_is_named_and_the_others_are_counted(words: Path) -> None:
    put(str(words), "raw/emptied")
    (file,) = (words / "raw" / "emptied").glob("*.parquet")
    file.write_bytes(b"not a Parquet file")
    listing = run_query(words, "")
    assert "two" in run_query(words, "SELECT max(word) FROM raw.words")
    assert "raw.emptied" in listing
    assert "raw.words" in listing


@pytest.mark.parametrize(
    ("names", "offered", "hidden"),
    [
        (("raw/OK", "raw/ok"), "raw/ok", ["raw/OK"]),
        (("raw/ok", "raw/OK"), "raw/ok", ["raw/OK"]),
        (("raw/OK", "raw/Ok", "raw/oK"), "raw/OK", ["raw/Ok", "raw/oK"]),
        (("Raw/ok", "raw/OK"), "Raw/ok", ["raw/OK"]),
        (("raw/Größe", "raw/GRÖSSE", "raw/größe"), "raw/größe", ["raw/Größe"]),
    ],
)
def test_names_that_differ_in_case_alone_are_named_and_the_lower_case_one_is_offered(
    lake: Lake, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], offered: str, hidden: list[str]
) -> None:
    for name in names:
        put(lake.uri, name, folder=[name])
    schema, table = offered.split("/")
    with connect(Path(lake.uri)) as connection:
        assert connection.sql(f"SELECT folder FROM {quote_ansi(schema, table)}").fetchall() == [(offered,)]
    run_query(Path(lake.uri), "SELECT 1")
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == [f"left out {name}" for name in hidden]
    assert all(offered in line for line in said)


def test_a_table_with_the_name_of_a_view_is_shown_in_its_place(lake: Lake) -> None:
    publish(lake, [score(date(2013, 4, 1), 1, 0.1)], [date(2013, 4, 1)])
    put(lake.uri, "scores/flight_delay_latest")
    assert "two" in run_query(Path(lake.uri), "SELECT max(word) FROM scores.flight_delay_latest")
    assert "left out scores/flight_delay_latest: a table has the name of this view" in run_query(Path(lake.uri), "")


def test_a_score_table_without_the_declared_key_has_no_view_and_is_read(lake: Lake) -> None:
    put(lake.uri, "scores/flight_delay")
    assert "two" in run_query(Path(lake.uri), "SELECT max(word) FROM scores.flight_delay")
    assert "left out scores/flight_delay_latest: BinderException: " in run_query(Path(lake.uri), "")


def test_a_declaration_that_cannot_be_loaded_costs_its_view_alone(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, [score(date(2013, 4, 1), 1, 0.1)], [date(2013, 4, 1)])
    put(lake.uri, "scores/broken_declaration")
    folder = tmp_path / "use_cases" / "broken_declaration"
    folder.mkdir(parents=True)
    (folder / "use_case.py").write_text("USE_CASE = (")
    monkeypatch.setattr(use_cases, "__path__", [*use_cases.__path__, str(folder.parent)])
    listing = run_query(Path(lake.uri), "")
    assert "left out scores/broken_declaration_latest: SyntaxError: " in listing
    assert "scores.broken_declaration " in listing
    assert "scores.flight_delay_latest " in listing


def test_a_view_quotes_reserved_words_in_the_key() -> None:
    view = View(schema="scores", name="select_latest", comment="", key=("order", "a b"), table="select")
    with duckdb.connect() as connection:
        connection.execute('CREATE SCHEMA scores; CREATE TABLE scores."select" (ds DATE, "order" INT, "a b" INT)')
        connection.execute("""INSERT INTO scores."select" VALUES ('2013-04-01', 1, 1), ('2013-04-02', 1, 1)""")
        assert connection.sql(view.sql(quote_ansi)).fetchall() == [(date(2013, 4, 2), 1, 1)]
    assert "scored.`order` = latest.`order` AND scored.`a b` = latest.`a b`" in view.sql(quote_spark)
    assert quote_spark("a`b", "c") == "`a``b`.`c`"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM raw.word", "did you mean raw.words?"),
        ("SELECT * FROM wrods", "did you mean raw.words?"),
        ("SELECT * FROM ledger", "do: see the tables with `make query`"),
        ("SELECT * FROM pg_depends", "do: see the tables with `make query`"),
        ("SELECT * FROM scores.flight_delay", "do: see the tables with `make query`"),
        ('SELECT at, word FROM raw."at"', 'write at as "at"'),
        ("SELECT nothing FROM raw.words", '"nothing" not found'),
        ("SELEC 1", 'at or near "SELEC"'),
    ],
)
def test_a_wrong_query_is_answered_by_what_is_wrong_and_by_tables_that_exist(
    words: Path, sql: str, message: str
) -> None:
    put(str(words), "raw/at", at=[1], word=["x"])
    with pytest.raises(ConfigurationError) as error:
        run_query(words, sql)
    assert message in str(error.value)
    assert "delta_" not in str(error.value)


def test_the_connection_holds_no_tables_but_those_of_the_lake(words: Path) -> None:
    with connect(words) as connection:
        names = connection.sql("SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        assert names == [("raw", "words")]
        with pytest.raises(duckdb.Error, match="locked"):
            connection.execute("SET enable_external_access = true")
