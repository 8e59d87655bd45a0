"""Servers with a real PostgreSQL: a killed one is restarted; one that keeps failing ends the run by name."""

from __future__ import annotations

import io
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from nightjar.local import servers
from nightjar.local.database import PORT, USER
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.servers import Servers
from nightjar.protocol.errors import UnreachableError


@pytest.fixture(autouse=True, scope="module")
def _programs_that_wait() -> Iterator[None]:
    """Replace MLflow and Airflow with programs that wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "mlflow_command", lambda *_: ["sleep", "300"])
        patch.setattr(servers, "migrate_command", lambda _: ["true"])
        patch.setattr(servers, "airflow_commands", lambda _: {"scheduler": ["sleep", "300"]})
        yield


@dataclass(frozen=True)
class Running:
    """Running servers, and their output."""

    servers: Servers
    paths: Paths
    output: io.StringIO


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    paths, output = Paths(Paths.here().root, tmp_path_factory.mktemp("nightjar") / "var"), io.StringIO()
    with Servers(paths, Progress(output)) as up:
        yield Running(up, paths, output)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A state folder for one test."""
    return Paths(Paths.here().root, tmp_path / "var")


def wait_until(condition: Callable[[], bool], check: Callable[[], None]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        check()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def postmaster(paths: Paths) -> int:
    """Process id of the server; 0 while there is none."""
    file = paths.postgres / "postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else 0


def migrated_version(sockets: str) -> str | None:
    """What the database holds; None while it does not answer."""
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'airflow'"
    try:
        with psycopg2.connect(host=sockets, port=PORT, user=USER, dbname="airflow") as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return str(cursor.fetchone()[0])
    except psycopg2.OperationalError:
        return None


def test_state_is_for_its_owner_alone(running: Running) -> None:
    for folder in (Path(running.servers.state.sockets), running.paths.postgres):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_killed_database_is_up_again_within_seconds_with_what_it_held(running: Running) -> None:
    sockets = running.servers.state.sockets
    version, killed = migrated_version(sockets), postmaster(running.paths)
    assert version is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(
        lambda: postmaster(running.paths) not in {0, killed} and migrated_version(sockets) == version,
        running.servers.check,
    )
    assert re.search(
        r"PostgreSQL ended after \d+ s \(killed by SIGKILL\) and restarts in 1 s; log: ", running.output.getvalue()
    )


def test_state_that_is_removed_while_servers_are_up_ends_the_run_in_plain_words(running: Running) -> None:
    running.paths.run_file.unlink()
    with pytest.raises(UnreachableError, match="the folder of the servers' state was removed while they were up"):
        running.servers.check()


def test_a_server_that_cannot_start_ends_the_run_with_its_name_and_its_last_lines(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(servers, "mlflow_command", lambda *_: ["sh", "-c", "echo the store is broken; exit 3"])
    monkeypatch.setattr(servers, "RESTARTS", 1)
    with (
        pytest.raises(UnreachableError, match=r"MLflow stopped unexpectedly \(exit status 3\) and is not restarted"),
        Servers(paths, Progress()) as running,
    ):
        wait_until(lambda: False, running.check)
    printed = capsys.readouterr().out
    assert "MLflow ended after 0 s (exit status 3) and restarts in 1 s" in printed
    assert printed.count("the store is broken") == 2


def test_a_migration_that_fails_ends_the_start_and_leaves_nothing(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "migrate_command", lambda _: ["false"])
    with pytest.raises(UnreachableError, match="Airflow's migration stopped unexpectedly"), Servers(paths, Progress()):
        pass
    assert not (paths.postgres / "postmaster.pid").exists()
    assert not paths.run_file.exists()
