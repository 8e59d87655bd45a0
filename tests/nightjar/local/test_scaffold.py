"""A new use case loads, parses and passes lint as written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import use_cases
from nightjar.declaration.use_case import load_use_case
from nightjar.local.paths import Paths
from nightjar.local.scaffold import new_use_case
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Paths.here().root


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("checkout")
    for folder in ("include", "plugins", "spark", "dags", "tests/dags"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    new_use_case(tmp_path, "customer_churn")
    return tmp_path


def run(checkout: Path, *command: str) -> str:
    path = os.pathsep.join(str(checkout / part) for part in ("include", "plugins", "spark", "dags"))
    environ = {**os.environ, "PYTHONPATH": path, "AIRFLOW_HOME": str(checkout / "airflow")}
    done = subprocess.run([sys.executable, *command], cwd=checkout, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_loads_and_passes_lint(checkout: Path) -> None:
    program = "from nightjar.declaration.use_case import load_use_case; print(load_use_case('customer_churn').title)"
    assert run(checkout, "-c", program) == "Customer churn\n"
    new = [
        str(path)
        for path in (checkout / "include" / "use_cases" / "customer_churn", checkout / "dags" / "customer_churn.py")
    ]
    run(checkout, "-m", "ruff", "check", *new)
    run(checkout, "-m", "ruff", "format", "--check", *new)
    assert not [path for path in checkout.rglob("*") if path.is_file() and "{{name}}" in path.read_text(errors="ignore")
                and "local" not in path.parts]  # fmt: skip


@pytest.mark.e2e
def test_it_passes_mypy_and_its_dags_parse(checkout: Path) -> None:
    run(checkout, "-m", "mypy", "--strict", "include/use_cases/customer_churn")
    program = "import customer_churn as c; print(c.history.dag_id, c.training.dag_id, c.nightly.dag_id)"
    found = run(checkout, "-c", program).split()
    assert found[-3:] == ["customer_churn_history", "customer_churn_training", "customer_churn_nightly"]


@pytest.mark.e2e
def test_the_tests_of_dag_files_hold_for_it(checkout: Path) -> None:
    output = run(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/dags", "-k", "customer_churn")
    assert " passed" in output


@pytest.mark.spark
def test_its_features_and_labels_have_the_declared_columns(
    checkout: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_cases, "__path__", [*use_cases.__path__, str(checkout / "include" / "use_cases")])
    use_case = load_use_case("customer_churn")
    features = import_module("use_cases.customer_churn.features")
    kinds = {"long": "bigint"}
    tables = {
        source.name: spark.createDataFrame(
            [], ", ".join(f"{column.name} {kinds.get(column.type, column.type)}" for column in source.table.columns)
        )
        for source in use_case.data.sources
    }
    nights = Nights(first=date(2026, 1, 1), last=date(2026, 1, 2), timezone="UTC")
    assert tuple(features.build_features(tables, nights).columns) == use_case.feature_table.column_names
    assert tuple(features.build_labels(tables, nights).columns) == use_case.label_table.column_names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("customer_churn", "use case 'customer_churn' already exists"),
        ("lake_maintenance", "use case 'lake_maintenance' already exists"),
        ("half_removed", "use case 'half_removed' already exists"),
        ("../evil", "'../evil' is not the name of a use case"),
        ("", "'' is not the name of a use case"),
        ("Churn", "'Churn' is not the name of a use case"),
        ("a" * 51, "is not the name of a use case .* at most 50 characters"),
        ("class", "'class' is a word of Python"),
        ("none", "'none' is a word of Python"),
        ("match", "'match' is a word of Python"),
        ("type", "'type' is a word of Python"),
        ("print", "'print' is a word of Python"),
        ("json", "'json' is a module of Python's library"),
        ("select", "'select' is a module of Python's library"),
        ("table", "'table' is a reserved word of SQL"),
        ("churn_latest", "'churn_latest' ends like a view or DAG"),
        ("churn_nightly", "'churn_nightly' ends like a view or DAG"),
        ("pandas", "'pandas' is an installed package"),
        ("airflow", "'airflow' is an installed package"),
        ("nightjar", "'nightjar' is an installed package"),
    ],
)
def test_a_name_that_is_taken_or_cannot_be_is_refused_and_nothing_is_written(
    checkout: Path, name: str, message: str
) -> None:
    (checkout / "include" / "use_cases" / "half_removed").mkdir(exist_ok=True)
    before = sorted(checkout.rglob("*"))
    with pytest.raises(ConfigurationError, match=message):
        new_use_case(checkout, name)
    assert sorted(checkout.rglob("*")) == before
