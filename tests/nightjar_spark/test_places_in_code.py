"""An error of a use case names the use case's file and line, however far from it Spark raises it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from datetime import date
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.cloudpickle import register_pickle_by_value

from nightjar.protocol.errors import ContractError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.runner import run_program
from nightjar_spark.worker_errors import from_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


@pytest.fixture
def failing_use_case(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Writes a use case's ``features.py`` with one function ``build(spark)``; returns the module's name."""
    folders = import_module("use_cases").__path__
    folders.append(str(tmp_path))

    def write(body: str) -> str:
        name = f"case_{len(list(tmp_path.iterdir()))}_{tmp_path.name}"
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "features.py").write_text(
            "from pyspark.sql import functions as F\n\n\n" + textwrap.dedent(body).strip() + "\n"
        )
        invalidate_caches()
        return f"use_cases.{name}.features"

    yield write
    folders.remove(str(tmp_path))


def error_of(program: Callable[[JobSpec], JobResult], lake: str) -> str:
    spec = JobSpec(
        program="build_features", use_case="flight_delay", first_night=date(2013, 1, 1), last_night=date(2013, 1, 2),
        dag_id="d", run_id="r", task_id="build_features", lake=lake,
    )  # fmt: skip
    return run_program(program, spec).error


@pytest.mark.parametrize(
    ("body", "line", "what"),
    [
        ("def build(spark):\n    return spark.range(3).select(F.expr('idd + 1'))", 5, "UNRESOLVED_COLUMN"),
        ("def build(spark):\n    return spark.range(3).where('id >> > 1')", 5, "PARSE_SYNTAX_ERROR"),
        ("def build(spark):\n    rows = spark.range(3)\n    return rows.select('carier')", 6, "UNRESOLVED_COLUMN"),
        ("def build(spark):\n    return spark.sql('SELECT idd FROM range(3)')", 5, "UNRESOLVED_COLUMN"),
        ("def build(spark):\n    return spark.range(3).select(F.no_such(F.col('id')))", 5, "AttributeError"),
        ("def helper():\n    return {}['x']\n\n\ndef build(spark):\n    return helper()", 5, "KeyError: 'x'"),
        (
            "@F.udf('long')\ndef twice(value):\n    return value['x']\n\n\n"
            "def build(spark):\n    return spark.range(3).select(twice('id'))",
            6, "not subscriptable",
        ),
        (
            "def batches(found):\n    for batch in found:\n        yield batch.no_such\n\n\n"
            "def build(spark):\n    return spark.range(3).mapInPandas(batches, 'id long')",
            6, "no_such",
        ),
        ("def build(spark):\n    return spark.range(3", 5, "SyntaxError"),
        ("import no_such_module", 4, "no_such_module"),
    ],
)  # fmt: skip
def test_an_error_of_a_use_case_names_its_file_and_line(
    body: str, line: int, what: str, failing_use_case: Callable[[str], str], spark: SparkSession, lake: str
) -> None:
    name = failing_use_case(body)

    def program(spec: JobSpec) -> JobResult:
        with from_workers():
            module: Any = import_module(name)
            register_pickle_by_value(module)  # Spark's workers do not find this folder
            return JobResult(status="succeeded", rows_out=len(module.build(spark).collect()))

    error = error_of(program, lake)
    assert f"| where: build_features ({name.replace('.', '/')}.py:{line}) | " in error
    assert what in error.split(" | ")[0]


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("1 / F.col('id')", "DIVIDE_BY_ZERO"),
        ("F.make_date(F.lit(2013), F.lit(2), (F.col('id') + 30).cast('int'))", "Invalid date"),
        ("F.concat(F.lit('x'), 'id').cast('int')", "CAST_INVALID_INPUT"),
        ("F.array(F.lit(1))[F.col('id').cast('int') + 5]", "INVALID_ARRAY_INDEX"),
        ("F.expr('1 / id')", "DIVIDE_BY_ZERO"),
    ],
)
def test_a_value_that_a_use_case_cannot_compute_on_is_not_retried(
    column: str,
    what: str,
    failing_use_case: Callable[[str], str],
    spark: SparkSession,
    lake: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # PySpark decides once a process whether it notes lines, and notes none if a column was made before any session.
    monkeypatch.setattr("pyspark.errors.utils._enable_debugging_cache", None)
    module: Any = import_module(failing_use_case(f"def build(spark):\n    return spark.range(3).select({column})"))
    with pytest.raises(ContractError, match=what) as caught, from_workers():
        module.build(spark).collect()
    assert "try_" in caught.value.fix
    assert not caught.value.retryable
    if "expr" in column:
        assert "in the SQL '1 / id'" in caught.value.what
    elif "make_date" not in column:  # of which Spark says no line
        assert caught.value.where == f"{module.__name__.replace('.', '/')}.py:5"


def test_an_error_of_nightjar_names_the_line_of_nightjar_and_not_a_library(spark: SparkSession, lake: str) -> None:
    from nightjar_spark.contracts import count_by_night

    error = error_of(lambda spec: JobResult(status=count_by_night(spark.range(3), ())), lake)  # type: ignore[arg-type]
    assert "| where: build_features (nightjar_spark/contracts.py:" in error
