"""The real Airflow and MLflow: they come up, run a DAG, and die with their parent, even after ``kill -9``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nightjar.local.paths import Paths
from nightjar.local.ports import listen, port_of
from nightjar.local.state import RunState, read_state

DAG = """
from __future__ import annotations
import subprocess
from airflow.sdk import dag, task

@dag(dag_id="scratch", schedule=None)
def scratch():
    @task
    def leaves_a_process_behind(number):
        subprocess.Popen(["sleep", "600"], start_new_session=True)

    leaves_a_process_behind.expand(number=list(range(9)))

scratch()
"""
KEEPER = """
import sys, time
from pathlib import Path
from nightjar.local import server_environment
from nightjar.local.follow import Request
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.session import own_servers

# The processes left behind hold the sockets of their tasks: each of the four workers would wait a minute for their end.
airflow = server_environment.airflow
server_environment.airflow = lambda *given: {**airflow(*given), "AIRFLOW__WORKERS__SOCKET_CLEANUP_TIMEOUT": "1"}

with Progress() as progress, own_servers(Paths(Path(sys.argv[1])), progress) as session:
    session.follower.wait_parsed(("scratch",))
    session.follower.ensure(Request(title="scratch", dag_id="scratch", run_id="one"))
    print("the run succeeded", flush=True)
    time.sleep(600)
"""


def processes_of(root: Path) -> list[str]:
    """Command lines of the processes whose environment or command line names this checkout's state."""
    marks = {f"AIRFLOW_HOME={Paths(root).airflow_home}".encode(), os.fsencode(Paths(root).postgres)}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "environ").read_bytes() + b"\0" + (process / "cmdline").read_bytes()
            if marks & set(words.split(b"\0")):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def listening_addresses(pid: int) -> set[str]:
    """Addresses at which the processes below ``pid`` take TCP connections."""
    return {
        connection.laddr.ip
        for process in psutil.Process(pid).children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def wait_without_zombies(pid: int, seconds: float) -> list[str]:
    """Names of the zombies below ``pid`` that remain after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        zombies = [
            process.name()
            for process in psutil.Process(pid).children(recursive=True)
            if process.status() == psutil.STATUS_ZOMBIE
        ]
        if not zombies or time.monotonic() > deadline:
            return zombies
        time.sleep(0.2)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "scratch.py").write_text(DAG)
    return tmp_path


@pytest.mark.e2e
def test_servers_run_a_dag_and_leave_nothing_when_their_parent_is_killed(checkout: Path) -> None:
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(checkout)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert keeper.stdout
    lines: list[str] = []
    while (line := keeper.stdout.readline()) and line != "the run succeeded\n":
        lines.append(line)
    assert line == "the run succeeded\n", "".join(lines)
    state = read_state(Paths(checkout).run_file)
    assert isinstance(state, RunState)
    assert state.pid == keeper.pid
    running = processes_of(checkout)
    assert sum(command.startswith("sleep 600") for command in running) == 9
    for server in ("postgres", "mlflow", "uvicorn", "scheduler", "dag-processor", "triggerer"):
        assert [command for command in running if server in command and "supervise.py" in command], server
    assert len(running) > 6
    assert listening_addresses(keeper.pid) == {"127.0.0.1"}
    assert wait_without_zombies(keeper.pid, seconds=20) == []

    os.kill(keeper.pid, 9)
    killed = time.monotonic()
    keeper.wait()
    while processes_of(checkout) and time.monotonic() - killed < 20:
        time.sleep(0.1)
    assert not processes_of(checkout)
    assert time.monotonic() - killed < 10
    assert read_state(Paths(checkout).run_file) is None
    for port in (state.ports.airflow, state.ports.mlflow):
        with listen(port) as listener:
            assert port_of(listener) == port
    assert not Path(state.sockets).exists()
    password = next((checkout / "var" / "airflow").glob("simple_auth*")).read_text().split('"')[3]
    logs = [path for path in (checkout / "var").rglob("*.log") if password in path.read_text(errors="replace")]
    assert not logs
