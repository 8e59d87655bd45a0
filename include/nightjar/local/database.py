"""The local PostgreSQL of Airflow and MLflow, from a wheel, on a Unix socket (ADR 0023)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg2

from nightjar.local.paths import Paths
from nightjar.local.steps import run_logged
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import ConfigurationError, NightjarError

USER = "nightjar"
NAMES = ("airflow", "mlflow")
NOBODY = 65534
MAX_SOCKET_PATH = 107
PORT = "5432"
"""Part of the socket's name; always given, since ``PGPORT`` of the environment would override it."""
_SOCKET = f".s.PGSQL.{PORT}"


class DatabaseError(NightjarError):
    """The database cannot be used."""

    kind = "database"


class Database:
    """PostgreSQL's programs and its data folder.

    PostgreSQL does not run as root. When root starts it, it runs as the data folder's owner (``nobody`` for a new
    folder) with one capability: to traverse root's folders above its own.

    Args:
        paths: The checkout.
        socket_folder: Private folder of the socket.
    """

    def __init__(self, paths: Paths, socket_folder: Path) -> None:
        self._paths = paths
        self.folder = paths.postgres
        self.socket_folder = socket_folder

    def prepare(self) -> None:
        """Create the data folder if needed, and give the server's user access to the socket's folder.

        Raises:
            DatabaseError: when the data folder has another major version.
            SetupError: when the data folder cannot be created.
        """
        if not (self.folder / "PG_VERSION").exists():
            self._make()
        self._check_version()
        self._end_leftover()
        if os.geteuid() == 0:
            os.chown(self.socket_folder, self._owner, -1)

    def server_command(self) -> list[str]:
        """Return the command that serves the data folder."""
        return self._as_owner(
            str(self._paths.postgres_programs / "postgres"),
            *("-D", str(self.folder), "-k", str(self.socket_folder), "-c", "listen_addresses=", "-p", PORT),
            *("-c", "unix_socket_permissions=0700", "-c", "max_connections=200"),
        )

    def is_ready(self) -> bool:
        """Return whether the server answers."""
        try:
            with self._connect("postgres"):
                return True
        except psycopg2.OperationalError:
            return False

    def create_databases(self) -> None:
        """Create missing databases."""
        with self._connect("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            existing = {name for (name,) in cursor.fetchall()}
            for name in NAMES:
                if name not in existing:
                    cursor.execute(f"CREATE DATABASE {name}")

    def schema_version(self) -> str | None:
        """Return the version of Airflow's tables (created or migrated); None before they exist."""
        with self._connect("airflow") as connection, connection.cursor() as cursor:
            query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'airflow'"
            cursor.execute(query)
            (version,) = cursor.fetchone()
            return None if version is None else str(version)

    def set_schema_version(self, version: str) -> None:
        """Record the version of Airflow's tables."""
        with self._connect("airflow") as connection, connection.cursor() as cursor:
            cursor.execute("COMMENT ON DATABASE airflow IS %s", (version,))

    def _make(self) -> None:
        """Create the data folder under a temporary name and rename it, so that a kill leaves no incomplete one."""
        new = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True, mode=0o700)
        if os.geteuid() == 0:
            os.chown(new, NOBODY, NOBODY)
        options = ["-D", str(new), "-U", USER, "--auth=trust", "--no-locale", "--encoding=UTF8"]
        initdb = str(self._paths.postgres_programs / "initdb")
        run_logged(_as_user(os.stat(new).st_uid, initdb, *options), self._paths.logs / "postgres-setup.log")
        new.rename(self.folder)

    def _check_version(self) -> None:
        folder_version = (self.folder / "PG_VERSION").read_text().strip()
        program = [str(self._paths.postgres_programs / "postgres"), "--version"]
        version = subprocess.run(program, capture_output=True, text=True, check=True).stdout.split()[-1]
        if folder_version != version.split(".")[0]:
            raise DatabaseError(
                f"the data folder is of PostgreSQL {folder_version}, and the installed PostgreSQL is {version}",
                where=str(self.folder),
                fix="start once more with the version of this project that made it, or start with an empty state: "
                "`make clean` removes it, including the lake",
            )

    def _end_leftover(self) -> None:
        """End the server of a killed run whose supervisors were killed too, and remove its lock file.

        Call it under the run's lock, so that no active run uses the data folder. A stale lock file would keep
        PostgreSQL from starting once another process has the same process id.
        """
        lock_file = self.folder / "postmaster.pid"
        if not lock_file.exists():
            return
        fix = "end the PostgreSQL server of this folder, if there is one, and delete the file"
        with reading("the database's lock file", where=str(lock_file), fix=fix):
            pid = int(lock_file.read_text().split()[0])
        while self._is_server(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)  # a fast shutdown, which ends sessions
            time.sleep(0.2)
        lock_file.unlink(missing_ok=True)

    def _is_server(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return os.fsencode(self.folder) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return False

    @property
    def _owner(self) -> int:
        return self.folder.stat().st_uid

    def _as_owner(self, *command: str) -> list[str]:
        return _as_user(self._owner, *command)

    @contextlib.contextmanager
    def _connect(self, name: str) -> Iterator[Any]:
        connection = psycopg2.connect(
            host=str(self.socket_folder), port=PORT, user=USER, dbname=name, connect_timeout=5
        )
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()


def _as_user(uid: int, *command: str) -> list[str]:
    if os.geteuid() != 0 or uid == 0:
        return list(command)
    if shutil.which("setpriv") is None:
        raise ConfigurationError(
            "PostgreSQL does not run as root, and `setpriv` is missing to start it as another user",
            where="PATH",
            fix="install util-linux, or start the command as another user than root",
        )
    user = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    # without this securebit, access(2) would ignore the capability
    capability = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    return ["setpriv", *user, *capability, "--", *command]


def make_socket_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Create a private folder for the socket whose path is short enough, regardless of the checkout's path.

    Raises:
        ConfigurationError: when no folder for temporary files has a path that is short enough.
    """
    places = [environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"]  # noqa: S108 - mkdtemp makes it private
    for place in places:
        if os.access(place, os.W_OK) and len(os.fsencode(f"{place}/nightjar-12345678/{_SOCKET}")) <= MAX_SOCKET_PATH:
            return Path(tempfile.mkdtemp(prefix="nightjar-", dir=place))
    raise ConfigurationError(
        f"no folder for PostgreSQL's socket has a path of at most {MAX_SOCKET_PATH} bytes",
        where=", ".join(filter(None, places)),
        fix="set TMPDIR to a folder with a short path that you may write",
    )


def url(socket_folder: Path, name: str) -> str:
    """Return the SQLAlchemy address of one of the databases."""
    return f"postgresql+psycopg2://{USER}@/{name}?host={socket_folder}&port={PORT}"
