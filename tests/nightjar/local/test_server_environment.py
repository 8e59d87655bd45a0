"""The environment of servers and tasks: complete, of this checkout only, without secrets."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from tests.fake_java import fake_java

from nightjar.local import server_environment
from nightjar.local.airflow_login import PASSWORDS_FILE, admin_password
from nightjar.local.paths import Paths
from nightjar.local.ports import Ports

PORTS = Ports(airflow=8081, mlflow=5001)


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    java = fake_java(tmp_path / "java", "17.0.1")
    monkeypatch.setattr(server_environment, "find_java_home", lambda *_: java)
    other = {
        "PATH": "/usr/bin",
        "HOME": "/home/me",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW_HOME": "/home/me/airflow",
        "MLFLOW_TRACKING_URI": "https://elsewhere",
        "SPARK_HOME": "/opt/spark",
        "PYTHONPATH": "/home/me/lib",
        "PYTHONDONTWRITEBYTECODE": "1",
        "no_proxy": "corp",
    }
    return server_environment.everything(Paths(tmp_path), PORTS, Path("/run/nightjar-x"), other)


def test_programs_find_this_checkout_and_these_servers(environ: dict[str, str], tmp_path: Path) -> None:
    assert environ["NIGHTJAR_LAKE"] == f"{tmp_path}/var/lake"
    assert environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5001"
    assert environ["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8081"
    database = "postgresql+psycopg2://nightjar@/airflow?host=/run/nightjar-x&port=5432"
    assert environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == database
    assert environ["SPARK_HOME"] == f"{tmp_path}/.venv/lib/python3.11/site-packages/pyspark"
    assert environ["PYSPARK_PYTHON"] == f"{tmp_path}/.venv/bin/python"
    assert environ["JAVA_HOME"] == f"{tmp_path}/java"
    assert environ["PATH"].split(":")[:2] == [f"{tmp_path}/.venv/bin", f"{tmp_path}/java/bin"]
    assert environ["NO_PROXY"] == environ["no_proxy"] == "corp,127.0.0.1,localhost"


def test_settings_of_another_airflow_do_not_leak_in(environ: dict[str, str]) -> None:
    assert environ["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert environ["HOME"] == "/home/me"
    assert not {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"} & environ.keys()


def test_no_pickle_is_loaded_and_no_usage_is_reported(environ: dict[str, str]) -> None:
    assert environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"


def test_the_spark_connection_is_what_the_hook_reads(environ: dict[str, str]) -> None:
    connection = json.loads(environ["AIRFLOW_CONN_SPARK_DEFAULT"])
    assert (connection["conn_type"], connection["host"]) == ("spark", "local[*]")
    assert connection["extra"]["conf"]["spark.sql.shuffle.partitions"] == str(server_environment.cores())


def test_the_commit_says_when_the_tree_is_dirty(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert server_environment.git_commit(tmp_path) == "unknown"
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first", "--no-verify")
    commit = server_environment.git_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "a").write_text("2")
    assert server_environment.git_commit(tmp_path) == f"{commit}-dirty"


def test_the_password_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    password = admin_password(tmp_path / "airflow")
    file = tmp_path / "airflow" / PASSWORDS_FILE
    assert len(password) >= 16
    assert admin_password(tmp_path / "airflow") == password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"admin": password}
