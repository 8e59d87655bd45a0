"""Servers for a command: those of a running ``make run``, or its own while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nightjar.local import server_environment
from nightjar.local.airflow_api import AirflowApi
from nightjar.local.airflow_login import USER, admin_password
from nightjar.local.follow import Follower
from nightjar.local.health import HealthWatch, notify
from nightjar.local.paths import Paths
from nightjar.local.ports import Ports
from nightjar.local.progress import Progress
from nightjar.local.servers import Servers, answers, wait_healthy
from nightjar.local.state import RunState, read_state
from nightjar.protocol.errors import UnreachableError


@dataclass(frozen=True, kw_only=True)
class Session:
    """Running servers.

    Attributes:
        api: Airflow's REST API.
        ports: Ports of both servers.
        follower: Follows runs to their end.
        environ: Environment of the servers, for programs that use them.
        check: Raises when a server has died.
    """

    api: AirflowApi
    ports: Ports
    follower: Follower
    environ: Mapping[str, str]
    check: Callable[[], None]

    def unhealthy(self) -> list[str]:
        """Return the names of unhealthy servers and components."""
        mlflow = [] if answers(f"{self.ports.mlflow_url}/health") else ["MLflow"]
        return mlflow + self.api.unhealthy()


@contextmanager
def own_servers(paths: Paths, progress: Progress) -> Iterator[Session]:
    """Start Airflow and MLflow, wait until they answer, and stop them at the end.

    Raises:
        AlreadyRunningError: when a run of this checkout is up.
        UnreachableError: when a server does not start.
    """
    with Servers(paths, progress) as servers:

        def check() -> None:
            try:
                servers.check()
            except UnreachableError as error:
                watch.notify_end(error)
                raise
            if is_up:
                watch.check()

        is_up = False
        session = _session(paths, progress, servers.state, check, fresh=True)
        alerts = paths.logs / "alerts.log"
        watch = HealthWatch(
            session.unhealthy, progress.say, lambda text: notify(session.environ, text, alerts), paths.logs
        )
        wait_healthy(session.unhealthy, check, progress.now, paths.logs)
        progress.say(f"{progress.seconds:5.0f} s  Airflow and MLflow are up")
        is_up = True
        yield session


@contextmanager
def any_servers(paths: Paths, progress: Progress) -> Iterator[Session]:
    """Use the servers of a run that is up or starting; otherwise start our own.

    Raises:
        UnreachableError: when they do not start, or the run that owns them ends.
    """
    state = read_state(paths.run_file)
    if state is None:
        with own_servers(paths, progress) as session:
            yield session
        return

    def check() -> None:
        if read_state(paths.run_file) is None:
            raise UnreachableError(
                "the run that started the servers has ended", where=str(paths.run_file), fix="run the command again"
            )

    session = _session(paths, progress, state, check, fresh=False)
    wait_healthy(session.unhealthy, check, progress.now, paths.logs)
    yield session


def _session(paths: Paths, progress: Progress, state: RunState, check: Callable[[], None], *, fresh: bool) -> Session:
    api = AirflowApi(state.ports.airflow_url, USER, admin_password(paths.airflow_home), check)
    return Session(
        api=api,
        ports=state.ports,
        follower=Follower(api, progress, check, fresh=fresh),
        environ=server_environment.everything(paths, state.ports, Path(state.sockets)),
        check=check,
    )
