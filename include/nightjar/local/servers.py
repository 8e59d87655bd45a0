"""Airflow and MLflow of this machine: start both, see that they answer, stop both with all that is below them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nightjar.contracts.errors import NightjarError, UnreachableError
from nightjar.local import server_environment
from nightjar.local.airflow_login import admin_password
from nightjar.local.paths import Paths
from nightjar.local.ports import HOST, Ports, choose_ports
from nightjar.local.state import RunLock, RunState
from nightjar.local.supervise import GRACE_SECONDS, become_subreaper, descendants, end_descendants

START_SECONDS = 300


class AlreadyRunningError(NightjarError):
    """Another run of this checkout is up."""

    kind = "already_running"


def airflow_command(paths: Paths) -> list[str]:
    return [str(paths.venv / "bin" / "airflow"), "standalone"]


def mlflow_command(paths: Paths, ports: Ports) -> list[str]:
    return [
        *(str(paths.python), "-m", "mlflow", "server", "--workers", "1"),
        *("--host", HOST, "--port", str(ports.mlflow), "--allowed-hosts", f"{HOST}:*,localhost:*"),
        *("--backend-store-uri", f"sqlite:///{paths.mlflow_home}/mlflow.db"),
        *("--artifacts-destination", str(paths.mlflow_home / "artifacts")),
    ]


def answers(url: str) -> bool:
    """Whether a server answers ``url`` with success."""
    with suppress(urllib.error.URLError, OSError):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    return False


class Server:
    """A server under its supervisor; see :mod:`nightjar.local.supervise`.

    Args:
        name: For messages and the log's name.
        command: What to run.
        environ: Its environment.
        log: File that takes its output.
        lock: Descriptor that the supervisor keeps open as long as anything of the server is left.
    """

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path, lock: int) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "nightjar.local.supervise", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
                pass_fds=[lock],
            )

    @property
    def is_up(self) -> bool:
        return self._supervisor.poll() is None

    def ask_to_stop(self) -> None:
        with suppress(ProcessLookupError):
            self._supervisor.send_signal(signal.SIGTERM)

    def wait_stopped(self) -> None:
        """Wait until nothing is left; one that does not end in time is killed with its session."""
        try:
            self._supervisor.wait(timeout=GRACE_SECONDS + 4)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._supervisor.pid, signal.SIGKILL)
            self._supervisor.wait()

    def last_lines(self, count: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Servers:
    """Both servers, as a context: entering starts them, leaving stops them.

    Args:
        paths: The checkout.
        say: Prints a line.
    """

    def __init__(self, paths: Paths, say: Callable[[str], None] = print) -> None:
        self._paths = paths
        self._say = say
        self._servers: list[Server] = []
        self._not_ours: frozenset[int] = frozenset()
        self._lock = RunLock(paths.run_file)
        self.ports = choose_ports()

    def __enter__(self) -> Servers:
        self._take_lock()
        self.ports = ports = choose_ports()
        self._lock.publish(RunState(pid=os.getpid(), ports=ports))
        if (ports.airflow, ports.mlflow) != (8080, 5000):
            self._say(f"a usual port is busy: Airflow is on port {ports.airflow}, MLflow on port {ports.mlflow}")
        self._not_ours = frozenset(descendants(os.getpid()))  # what whoever calls has started before
        become_subreaper()  # should a supervisor be killed, what it kept comes to this process and ends with it
        admin_password(self._paths.airflow_home)
        self._paths.mlflow_home.mkdir(parents=True, exist_ok=True)
        environ = server_environment.everything(self._paths, ports)
        for name, command in (
            ("airflow", airflow_command(self._paths)),
            ("mlflow", mlflow_command(self._paths, ports)),
        ):
            log = self._paths.logs / f"{name}.log"
            self._servers.append(Server(name, command, environ, log, self._lock.descriptor))
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.ask_to_stop()
        for server in self._servers:
            server.wait_stopped()
        end_descendants(spared=self._not_ours)
        self._lock.release()

    def check(self) -> None:
        """Raise when a server has ended by itself.

        Raises:
            UnreachableError: with the last lines of its log.
        """
        for server in self._servers:
            if not server.is_up:
                self._say(server.last_lines())
                raise UnreachableError(
                    f"the {server.name} server ended by itself", where=str(server.log), fix="read the lines above"
                )

    def _take_lock(self) -> None:
        deadline = time.monotonic() + GRACE_SECONDS + 4  # a run that is ending frees it within seconds
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
    """Wait until ``unhealthy`` names nothing any more.

    Args:
        unhealthy: Names what does not answer yet.
        check: Raises when a server has ended.
        now: Takes the text of the progress line.
        logs: Where the servers' logs are.

    Raises:
        UnreachableError: when a server ends, or is not healthy after ``START_SECONDS``.
    """
    deadline = time.monotonic() + START_SECONDS
    while waiting := unhealthy():
        check()
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"{', '.join(waiting)} did not start within {START_SECONDS} s",
                where=str(logs),
                how_many=len(waiting),
                fix="read the logs there; on a very slow machine try again",
            )
        now(f"starting {', '.join(waiting)}")
        time.sleep(0.5)
