"""The real PostgreSQL: in a deep folder, after a kill, with another version."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from nightjar.local import database
from nightjar.local.database import Database, DatabaseError, make_socket_folder
from nightjar.local.paths import Paths
from nightjar.protocol.errors import ConfigurationError

DEEP = "/".join(["a folder with a rather long name"] * 6)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder far below the limit of a socket's path, with a database in it."""
    folder = tmp_path_factory.mktemp("nightjar") / DEEP / "var"
    folder.mkdir(parents=True)
    return folder


@contextmanager
def server(state: Path) -> Iterator[tuple[Database, subprocess.Popen[bytes]]]:
    """The database of ``state``, serving."""
    sockets = make_socket_folder()
    postgres = Database(Paths(Paths.here().root, state), sockets)
    postgres.prepare()
    with (state / "postgres.log").open("ab") as log:
        process = subprocess.Popen(postgres.server_command(), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not postgres.is_ready():
            assert process.poll() is None, (state / "postgres.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield postgres, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(sockets)


def test_databases_are_made_once_and_remember_the_schema(state: Path) -> None:
    with server(state) as (postgres, process):
        postgres.create_databases()
        postgres.create_databases()
        assert postgres.schema_version() is None
        postgres.set_schema_version("3.3.2")
        assert postgres.schema_version() == "3.3.2"
        assert postgres.socket_folder.stat().st_mode & 0o777 == 0o700
        assert postgres.folder.stat().st_mode & 0o777 == 0o700
        assert tcp_sockets(process.pid) == []


def tcp_sockets(pid: int) -> list[str]:
    """TCP sockets of a process."""
    sockets = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in sockets if name.startswith("socket:[")}
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[9] in inodes]


def test_a_killed_server_recovers_what_was_committed(state: Path) -> None:
    with server(state) as (postgres, process):
        postgres.create_databases()
        postgres.set_schema_version("written before the kill")
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        psutil.wait_procs(
            workers, timeout=10
        )  # while one of them lives, PostgreSQL does not start; Nightjar tries again
    with server(state) as (postgres, _):
        assert postgres.schema_version() == "written before the kill"


def test_the_server_of_a_run_that_was_killed_with_its_supervisors_is_ended_first(state: Path) -> None:
    with server(state) as (_, orphan), server(state) as (postgres, process):
        assert orphan.wait(10) == 0
        assert process.poll() is None
        assert postgres.is_ready()


def test_a_lock_file_whose_process_id_belongs_to_another_program_is_forgotten(state: Path) -> None:
    with server(state):
        pass
    lock_file = state / "postgres" / "postmaster.pid"
    lock_file.write_text(f"{os.getpid()}\n{state}/postgres\n")
    with server(state) as (postgres, _):
        assert postgres.is_ready()


def test_a_half_made_folder_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "half").write_text("")
    with server(tmp_path) as (postgres, _):
        assert postgres.is_ready()


def test_a_folder_of_another_major_version_is_refused_and_left(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseError, match=r"is of PostgreSQL 16, and the installed PostgreSQL is 18\.\d+"):
        Database(Paths(Paths.here().root, tmp_path), tmp_path).prepare()
    assert (folder / "PG_VERSION").read_text() == "16\n"


def test_the_socket_lies_where_its_path_is_short(tmp_path: Path) -> None:
    deep = tmp_path / DEEP
    deep.mkdir(parents=True)
    folder = make_socket_folder({"XDG_RUNTIME_DIR": str(deep)})
    assert not folder.is_relative_to(deep)
    assert len(str(folder / ".s.PGSQL.5432")) <= 107
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()


def test_without_a_short_folder_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAX_SOCKET_PATH", 10)
    with pytest.raises(ConfigurationError, match="set TMPDIR to a folder with a short path"):
        make_socket_folder({})
