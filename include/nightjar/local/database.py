"""PostgreSQL of this machine: the database of Airflow and MLflow, from a wheel, on a Unix socket (ADR 0023)."""

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
"""Names the socket; given everywhere, since ``PGPORT`` of the environment would give another."""
_SOCKET = f".s.PGSQL.{PORT}"


class DatabaseError(NightjarError):
    """The database cannot be used."""

    kind = "database"


class Database:
    """PostgreSQL's programs and its data folder.

    PostgreSQL refuses to run as root. Where root starts it, it runs as the data folder's owner (``nobody`` for a new
    folder) with one capability: to pass the folders of root above its own.

    Args:
        paths: The checkout.
        socket_folder: Private folder of the socket.
    """

    def __init__(self, paths: Paths, socket_folder: Path) -> None:
        self._paths = paths
        self.folder = paths.postgres
        self.socket_folder = socket_folder

    def prepare(self) -> None:
        """Make the data folder where there is none, and let the server's user use the socket's folder.

        Raises:
            DatabaseError: when the data folder is of another major version.
            SetupError: when the data folder cannot be made.
        """
        if not (self.folder / "PG_VERSION").exists():
            self._make()
        self._check_version()
        self._end_leftover()
        if os.geteuid() == 0:
            os.chown(self.socket_folder, self._owner, -1)

    def server_command(self) -> list[str]:
        """The command that serves the data folder."""
        return self._as_owner(
            str(self._paths.postgres_programs / "postgres"),
            *("-D", str(self.folder), "-k", str(self.socket_folder), "-c", "listen_addresses=", "-p", PORT),
            *("-c", "unix_socket_permissions=0700", "-c", "max_connections=200"),
        )

    def is_ready(self) -> bool:
        """Whether the server answers."""
        try:
            with self._connect("postgres"):
                return True
        except psycopg2.OperationalError:
            return False

    def create_databases(self) -> None:
        """Create the databases that are not there yet."""
        with self._connect("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            existing = {name for (name,) in cursor.fetchall()}
            for name in NAMES:
                if name not in existing:
                    cursor.execute(f"CREATE DATABASE {name}")

    def schema_version(self) -> str | None:
        """The version with which Airflow's tables were made or migrated last; None when they are not there."""
        with self._connect("airflow") as connection, connection.cursor() as cursor:
            query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'airflow'"
            cursor.execute(query)
            (version,) = cursor.fetchone()
            return None if version is None else str(version)

    def set_schema_version(self, version: str) -> None:
        """Record that Airflow's tables are those of ``version``."""
        with self._connect("airflow") as connection, connection.cursor() as cursor:
            cursor.execute("COMMENT ON DATABASE airflow IS %s", (version,))

    def _make(self) -> None:
        """Make the data folder beside its place and move it there, so that a kill leaves no half of one."""
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
        found = (self.folder / "PG_VERSION").read_text().strip()
        program = [str(self._paths.postgres_programs / "postgres"), "--version"]
        version = subprocess.run(program, capture_output=True, text=True, check=True).stdout.split()[-1]
        if found != version.split(".")[0]:
            raise DatabaseError(
                f"the data folder is of PostgreSQL {found}, and the installed PostgreSQL is {version}",
                where=str(self.folder),
                fix="start once more with the version of this project that made it, or begin with an empty state: "
                "`make clean` removes it, the lake included",
            )

    def _end_leftover(self) -> None:
        """End the server of a run that was killed with all its supervisors, and forget it.

        Called under the run's lock, so no run that is up uses the data folder. A lock file without a server would
        keep PostgreSQL from starting once its process id belongs to another process.
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
            "PostgreSQL does not run as root, and there is no `setpriv` to start it as another user",
            where="PATH",
            fix="install util-linux, or start the command as another user than root",
        )
    user = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    # Without the securebit, access(2) would not regard the capability.
    capability = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
    return ["setpriv", *user, *capability, "--", *command]


def make_socket_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Make a private folder for the socket, with a path that is short enough whatever the checkout's.

    Raises:
        ConfigurationError: when no folder for temporary files has a short path.
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
    """SQLAlchemy's address of one of the databases."""
    return f"postgresql+psycopg2://{USER}@/{name}?host={socket_folder}&port={PORT}"
