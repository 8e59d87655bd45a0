from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from nightjar.declaration.data import Source
from nightjar.lake.lake import Lake
from nightjar.local.contract_draft import draft, shape, write_draft
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights
from nightjar.validation.table_rules import table_rules
from use_cases.flight_delay.landing import land
from use_cases.flight_delay.use_case import USE_CASE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
FIRST, LAST = date(2013, 4, 1), date(2013, 4, 9)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Nine real nights."""
    from nightjar_spark.ingest import ingest

    root = tmp_path_factory.mktemp("draft")
    land(Nights(first=FIRST, last=LAST, timezone=USE_CASE.schedule.timezone), str(root / "landing"))
    spec = JobSpec(
        program="ingest", use_case=USE_CASE.name, first_night=FIRST, last_night=LAST, dag_id="d", run_id="r",
        task_id="ingest", lake=str(root / "lake"),
    )  # fmt: skip
    ingest(spark, spec, USE_CASE, str(root / "landing"))
    return str(root / "lake")


@pytest.mark.parametrize("name", ["flights", "weather", "airports"])
def test_a_draft_is_a_contract_that_the_table_keeps(lake: str, spark: SparkSession, tmp_path: Path, name: str) -> None:
    from nightjar_spark.contracts import annotate, count_by_night
    from nightjar_spark.io import read_table

    written: dict[str, Any] = {}
    exec(write_draft(Lake(lake), f"raw/{name}", tmp_path).read_text(), written)  # the draft is Python
    source: Source = written[name.upper()]
    declared = next(source for source in USE_CASE.data.sources if source.name == name)
    assert {c.name: c.type for c in source.table.columns} == {c.name: c.type for c in declared.table.columns}
    assert 0 < len(source.table.key) <= len(declared.table.key)
    assert any(rule.name == "volume" for rule in source.night_rules)
    rules = table_rules(source.table, source.rules)
    assert len(rules) > 4
    counts = count_by_night(annotate(read_table(spark, Lake(lake), f"raw/{name}"), source.table, rules), rules)
    assert len(counts) == 9
    assert [count.broken for count in counts] == [{}] * 9


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (["UA", "B6", "9E"], "[0-9A-Z]{2}"),
        (["JFK", "LGA"], "[A-Z]{3}"),
        (["1", "22"], "[0-9]{1,2}"),
        (["Boeing", "A"], ""),
        ([""], ""),
    ],
)
def test_a_shape_is_what_all_values_have(values: list[str], pattern: str) -> None:
    assert shape(values) == pattern


@pytest.mark.parametrize("table", ["flights", "raw/../secret", "raw/Flights;"])
def test_a_name_that_is_no_table_is_refused(lake: str, tmp_path: Path, table: str) -> None:
    with pytest.raises((ConfigurationError, ValueError)):
        write_draft(Lake(lake), table, tmp_path)


def test_a_table_that_is_not_of_nights_is_refused(lake: str, tmp_path: Path) -> None:
    folder = Path(lake, "raw", "words")
    folder.mkdir(parents=True, exist_ok=True)
    write_deltalake(str(folder), pa.table({"word": ["one"]}))
    with pytest.raises(ConfigurationError, match="raw/words is not partitioned by ds"):
        write_draft(Lake(lake), "raw/words", tmp_path)


def test_a_draft_declares_lists_and_names_with_quotes_and_has_no_rules_on_lists() -> None:
    rows = pa.table(
        {
            "ds": [FIRST] * 3,
            'a"b': [1, 2, 3],
            "tags": [["x"], [], ["y", "z"]],
        }
    )
    text = draft("raw/words", rows)
    compile(text, "draft", "exec")
    assert """Column('a"b', "long", "?")""" in text
    assert """Column('tags', "array<string>", "?")""" in text
    assert text.count("tags") == 1
