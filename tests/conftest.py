"""One Spark session for the whole run, as users run it: local, with Delta from the project's pinned JARs."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REPOSITORY = Path(__file__).resolve().parents[1]

if not hasattr(sys.modules["__main__"], "__file__"):  # in a worker of pytest-xdist
    # PySpark takes a main module without a file for a doctest, and ends the process.
    sys.modules["__main__"].__file__ = pytest.__file__


@pytest.fixture(scope="session")
def jars() -> str:
    """The Delta JARs, comma-separated, as ``make`` resolved them."""
    folder = Path(os.environ.get("NIGHTJAR_JARS", REPOSITORY / ".jars"))
    found = sorted(str(path) for path in folder.glob("*.jar"))
    assert found, f"no JARs in {folder}: run `make setup` first"
    return ",".join(found)


@pytest.fixture(scope="session")
def spark(jars: str) -> Iterator[SparkSession]:
    """A session on two cores."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f"--master local[2] --driver-memory 1g --jars {jars} "
        "--conf spark.sql.shuffle.partitions=2 --conf spark.databricks.delta.snapshotPartitions=2 "
        "--conf spark.ui.enabled=false pyspark-shell"
    )
    from nightjar_spark.session import build_session

    session = build_session("tests")
    yield session
    session.stop()
    logging.getLogger("py4j").disabled = True  # it would tell a closed stream of every object that Java has forgotten


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """An empty lake."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return str(folder)
