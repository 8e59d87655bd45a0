"""One Spark session for a worker's run, as users run it: local, with Delta from the project's pinned JARs."""

from __future__ import annotations

import json
import logging
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

REPOSITORY = Path(__file__).resolve().parents[1]
STARTS_AIRFLOW = ("tests/e2e/", "tests/nightjar/local/test_servers.py", "tests/nightjar_airflow/")
"""Tests that use the servers' usual ports or the pods' usual addresses, and must not run in parallel."""
SHARES_A_TRAINING = "tests/nightjar_jobs/"
"""Tests that share a trained model and an MLflow server, which take a minute to create."""
LONG = (
    "airflow",
    SHARES_A_TRAINING,
    "tests/corruptions/test_corruptions.py",
    "tests/nightjar_spark/test_kill_matrix.py",
    "tests/use_cases/flight_delay/test_point_in_time.py",
    "tests/nightjar_spark/test_many_at_once.py",
)
"""Units that take more than a minute, the longest first."""

settings.register_profile("nightjar", deadline=None)  # a busy machine must not fail a test
settings.load_profile("nightjar")

if not hasattr(sys.modules["__main__"], "__file__"):  # in a worker of pytest-xdist
    # PySpark treats a main module without a file as a doctest, and ends the process.
    sys.modules["__main__"].__file__ = pytest.__file__


def _unit_of(nodeid: str) -> str:
    """Return the name of the tests that run one after the other on one worker: those that share what is slow to make,
    else those of a file."""
    if nodeid.startswith(STARTS_AIRFLOW):
        return "airflow"
    return SHARES_A_TRAINING if nodeid.startswith(SHARES_A_TRAINING) else nodeid.split("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """With ``--dist loadscope`` (``make test``) one worker runs all that starts Airflow, and mostly waits.

    ``loadgroup`` would say the same by marks, but groups nothing with pytest 9.2 (pytest-dev/pytest-xdist#1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit_of(nodeid)

    return ByUnit(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the long units first: with short ones last, both workers end at about the same time."""
    items.sort(key=lambda item: LONG.index(unit) if (unit := _unit_of(item.nodeid)) in LONG else len(LONG))


@pytest.fixture(autouse=True)
def _loggers_are_left_as_found() -> Iterator[None]:
    """Restore loggers, as one silenced by a test would hide messages from later tests on the same worker."""

    def state() -> dict[str, tuple[int, bool, bool]]:
        loggers = [
            logging.getLogger(name) for name in ("nightjar", "nightjar_spark", "nightjar_airflow", "nightjar_jobs")
        ]
        return {logger.name: (logger.level, logger.disabled, logger.propagate) for logger in loggers}

    before = state()
    yield
    assert state() == before, "the test changed a logger of the project and left it so: use caplog.set_level"


@pytest.fixture(scope="session")
def jars() -> str:
    """The Delta JARs, comma-separated, as ``make`` resolved them."""
    folder = Path(os.environ.get("NIGHTJAR_JARS", REPOSITORY / ".jars"))
    found = sorted(str(path) for path in folder.glob("*.jar"))
    assert found, f"no JARs in {folder}: run `make setup` first"
    return ",".join(found)


@pytest.fixture(scope="session")
def spark_conf(jars: str) -> dict[str, str]:
    """Spark's options in users' nights, on two cores; with Spark's own defaults a night's ingest takes four times as
    long."""
    from nightjar.local.server_environment import spark_connection

    archive = next(Path(jars.split(",")[0]).parent.glob("spark-classes-*.jsa"), Path("none"))
    return {**json.loads(spark_connection(2, archive))["extra"]["conf"], "spark.driver.memory": "1g"}


@pytest.fixture(scope="session")
def spark(jars: str, spark_conf: dict[str, str]) -> Iterator[SparkSession]:
    """A session on two cores, with the options that users' nights have."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    options = [word for name, value in spark_conf.items() for word in ("--conf", f"{name}={value}")]
    words = ["--master", "local[2]", "--jars", jars, *options, "pyspark-shell"]
    os.environ["PYSPARK_SUBMIT_ARGS"] = shlex.join(words)
    from nightjar_spark.session import build_session

    session = build_session("tests")
    yield session
    session.stop()
    logging.getLogger("py4j").disabled = True  # it logs every garbage-collected Java object, to a closed stream


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """An empty lake."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Create lakes in their own S3 server, behind a proxy with configurable failures; the environment names both.

    The seed is printed, and ``STORE_SEED`` gives one.
    """
    import boto3

    seed = os.environ.get("STORE_SEED") or str(random.randrange(10**6))
    started: list[subprocess.Popen[str]] = []

    def make(*, share: float = 0.0, lost_commits: float = 0.0) -> str:
        print(f"STORE_SEED={seed}")
        program = [sys.executable, str(REPOSITORY / "tests" / "failing_store.py"), seed, str(share), str(lost_commits)]
        with open(tmp_path / "store.log", "w") as log:
            server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        started.append(server)
        assert server.stdout is not None
        port, direct = server.stdout.readline().split()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        boto3.client("s3", endpoint_url=f"http://127.0.0.1:{direct}").create_bucket(Bucket="bucket")
        return "s3://bucket/lake"

    yield make
    for server in started:
        server.communicate(timeout=30)
