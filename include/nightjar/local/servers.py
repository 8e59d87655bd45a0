"""The local servers: PostgreSQL, MLflow and Airflow's four, each under its own supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path

from nightjar.local import database, server_environment, supervise
from nightjar.local.airflow_login import admin_password
from nightjar.local.database import Database
from nightjar.local.paths import Paths
from nightjar.local.ports import Ports, listen, port_of
from nightjar.local.programs import API_SERVER, airflow_commands, migrate_command, mlflow_command
from nightjar.local.progress import Progress
from nightjar.local.state import RunLock, RunState
from nightjar.local.supervise import GRACE_SECONDS, become_subreaper, descendants, end_descendants
from nightjar.protocol.errors import NightjarError, UnreachableError

START_SECONDS = 300
USUAL_PORTS = (8080, 5000)
"""Ports of Airflow and MLflow."""
RESTARTS = 5
"""Maximum restarts of a server in a row, after 1, 2, 4, 8 and 16 s."""


class AlreadyRunningError(NightjarError):
    """Another run of this checkout is up."""

    kind = "already_running"


def answers(url: str) -> bool:
    """Return whether a server answers ``url`` with status 200."""
    with suppress(urllib.error.URLError, OSError):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    return False


class Server:
    """A server under its supervisor; see :mod:`nightjar.local.supervise`.

    Args:
        name: Name for messages.
        command: Command that starts it.
        environ: Environment of the server.
        log: File for its output.
        held: Descriptors that the supervisor keeps open while any process of the server is left.
        listener: Listening socket that becomes its standard input.
        restarts: Maximum restarts in a row when it stops unexpectedly.
        remove: Folder that the supervisor removes at the end.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        *,
        held: Sequence[int] = (),
        listener: int | None = None,
        restarts: int = 0,
        remove: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        reader, events = os.pipe()
        os.set_blocking(reader, False)
        self._events = open(reader, "rb")  # noqa: SIM115 - stays open as long as the server
        options = ["--events", str(events), "--restarts", str(restarts)]
        options += [] if listener is None else ["--listener", str(listener)]
        options += [] if remove is None else ["--remove", str(remove)]
        with log.open("wb") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-P", supervise.__file__, *options, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
                pass_fds={events, *held, *([] if listener is None else [listener])},
            )
        os.close(events)

    @property
    def is_up(self) -> bool:
        """Whether the supervisor is running; it ends when the server has stopped for good."""
        return self._supervisor.poll() is None

    @property
    def status(self) -> int | None:
        """Exit status of a server that has stopped for good; None while it is up."""
        return self._supervisor.poll()

    def events(self) -> list[str]:
        """Return the supervisor's reports since the last call: one line per failure."""
        return (self._events.read() or b"").decode().splitlines()

    def ask_to_stop(self) -> None:
        """Ask the supervisor to stop the server, without waiting for it."""
        with suppress(ProcessLookupError):
            self._supervisor.send_signal(signal.SIGTERM)

    def wait_stopped(self) -> int:
        """Wait until all its processes have ended, and return the exit status.

        A supervisor that does not end in time is killed with its session.
        """
        try:
            self._supervisor.wait(timeout=GRACE_SECONDS + 4)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._supervisor.pid, signal.SIGKILL)
        return self._supervisor.wait()

    def last_lines(self, count: int = 15) -> str:
        """Return the last ``count`` lines of the log; empty without a log file."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Servers:
    """All servers, as a context: entering starts them, leaving stops them.

    Args:
        paths: The checkout.
        progress: Shows what happens.
    """

    def __init__(self, paths: Paths, progress: Progress) -> None:
        self._paths = paths
        self._progress = progress
        self._servers: list[Server] = []
        self._lock = RunLock(paths.run_file)

    def __enter__(self) -> Servers:
        with ExitStack() as stack:
            self._take_lock()
            stack.callback(self._lock.release)
            self._airflow, self._mlflow = (stack.enter_context(listen(port)) for port in USUAL_PORTS)
            self._sockets = database.make_socket_folder()
            stack.callback(shutil.rmtree, self._sockets, ignore_errors=True)
            ports = Ports(airflow=port_of(self._airflow), mlflow=port_of(self._mlflow))
            self.state = RunState(pid=os.getpid(), ports=ports, sockets=str(self._sockets))
            self._lock.publish(self.state)
            spared = frozenset(descendants(os.getpid()))  # processes that the caller started before
            become_subreaper()  # if a supervisor is killed, its processes become children of this one and end with it
            stack.callback(end_descendants, spared=spared)
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def check(self) -> None:
        """Report servers that stopped and restarted; raise when one is not restarted.

        Raises:
            UnreachableError: with the last lines of its log.
        """
        for server in self._servers:
            for line in server.events():
                self._progress.say(f"  {server.name} {line}; log: {server.log}")
        if not self._paths.run_file.exists():
            raise UnreachableError(
                "the folder of the servers' state was removed while they were up",
                where=str(self._paths.var),
                fix="start again; to remove the state, end the run first, then run `make clean`",
            )
        for server in self._servers:
            if not server.is_up:
                raise self._ended(server)

    def _start(self) -> None:
        ports = self.state.ports
        if (ports.airflow, ports.mlflow) != USUAL_PORTS:
            self._progress.say(
                f"a usual port is busy: Airflow is on port {ports.airflow}, MLflow on port {ports.mlflow}"
            )
        self._progress.now("starting PostgreSQL")
        admin_password(self._paths.airflow_home)
        self._paths.mlflow_home.mkdir(parents=True, exist_ok=True)
        postgres = Database(self._paths, self._sockets)
        postgres.prepare()
        self._environ = server_environment.everything(self._paths, ports, self._sockets)
        self._add("PostgreSQL", "postgres", postgres.server_command(), remove=self._sockets)
        self._wait_until(postgres.is_ready, "starting PostgreSQL")
        postgres.create_databases()
        store = database.url(self._sockets, "mlflow")
        self._add("MLflow", "mlflow", mlflow_command(self._paths, store), listener=self._mlflow)
        self._migrate(postgres)
        for name, command in airflow_commands(self._paths).items():
            listener = self._airflow if name == API_SERVER else None
            self._add(f"Airflow's {name}", f"airflow-{name}", command, listener=listener)

    def _migrate(self, postgres: Database) -> None:
        """Migrate Airflow's tables to the installed version, unless the database says that they are."""
        installed = version("apache-airflow")
        configured = (self._paths.airflow_home / "airflow.cfg").exists()  # made by the first `airflow` command
        if configured and postgres.schema_version() == installed:
            return
        migration = self._add("Airflow's migration", "airflow-migration", migrate_command(self._paths), once=True)
        self._servers.remove(migration)
        try:
            self._wait_until(lambda: not migration.is_up, "preparing Airflow's database")
        finally:
            migration.ask_to_stop()
            status = migration.wait_stopped()
        if status:
            raise self._ended(migration)
        postgres.set_schema_version(installed)

    def _add(
        self,
        name: str,
        log: str,
        command: Sequence[str],
        *,
        listener: socket.socket | None = None,
        once: bool = False,
        remove: Path | None = None,
    ) -> Server:
        server = Server(
            name,
            command,
            self._environ,
            self._paths.logs / f"{log}.log",
            # Every supervisor holds these: while the lock is held, the ports are too, and no other program can take
            # them.
            held=[self._lock.descriptor, self._airflow.fileno(), self._mlflow.fileno()],
            listener=None if listener is None else listener.fileno(),
            restarts=0 if once else RESTARTS,
            remove=remove,
        )
        self._servers.append(server)
        return server

    def _wait_until(self, condition: Callable[[], bool], text: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"{text}: not done within {START_SECONDS} s", where=str(self._paths.logs), fix="read the logs there"
                )
            self._progress.now(text)
            time.sleep(0.1)

    def _ended(self, server: Server) -> UnreachableError:
        self._progress.say(server.last_lines())
        return UnreachableError(
            f"{server.name} stopped unexpectedly (exit status {server.status}) and is not restarted",
            where=str(server.log),
            fix="read the lines above, then start again",
        )

    def _stop(self) -> None:
        """Stop all servers, the database last, since the others write to it until they end."""
        for servers in (self._servers[1:], self._servers[:1]):
            for server in servers:
                server.ask_to_stop()
            for server in servers:
                server.wait_stopped()

    def _take_lock(self) -> None:
        deadline = time.monotonic() + 2 * GRACE_SECONDS + 4  # a run that is ending releases it within seconds
        while not self._lock.acquire():
            if time.monotonic() > deadline:
                raise AlreadyRunningError(
                    "a run of this checkout is up already",
                    where=str(self._paths.run_file),
                    fix="use it (its addresses are in that file), or end it with Ctrl-C in its terminal",
                )
            time.sleep(0.2)


def wait_healthy(
    unhealthy: Callable[[], list[str]], check: Callable[[], None], now: Callable[[str], None], logs: Path
) -> None:
    """Wait until ``unhealthy`` returns no names.

    Args:
        unhealthy: Returns the names of components that do not answer yet.
        check: Raises when a server has stopped.
        now: Shows the text of the progress line.
        logs: Folder of the servers' logs.

    Raises:
        UnreachableError: when a server stops, or is not healthy after ``START_SECONDS``.
    """
    deadline = time.monotonic() + START_SECONDS
    while waiting := unhealthy():
        check()
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"{', '.join(waiting)} did not start within {START_SECONDS} s",
                where=str(logs),
                how_many=len(waiting),
                fix="read the logs there; on a very slow machine, start it again",
            )
        now(f"starting {', '.join(waiting)}")
        time.sleep(0.5)
