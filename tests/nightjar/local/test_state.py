"""One run at a time; a killed run does not count."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nightjar.local import servers
from nightjar.local.paths import Paths
from nightjar.local.ports import Ports
from nightjar.local.progress import Progress
from nightjar.local.servers import AlreadyRunningError, Servers
from nightjar.local.state import RunLock, RunState, read_state

STATE = RunState(pid=7, ports=Ports(airflow=1, mlflow=2), sockets="/tmp/nightjar-x")


def test_a_run_that_is_up_is_found_and_one_that_ended_is_not(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    assert read_state(file) is None
    lock = RunLock(file)
    assert lock.acquire()
    lock.publish(STATE)
    assert read_state(file) == STATE
    assert not RunLock(file).acquire()
    lock.release()
    assert read_state(file) is None


def test_a_killed_run_leaves_its_file_but_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    program = (
        "import os, signal, sys; from pathlib import Path; from nightjar.local.state import *; "
        "from nightjar.local.ports import Ports; lock = RunLock(Path(sys.argv[1])); assert lock.acquire(); "
        "lock.publish(RunState(pid=os.getpid(), ports=Ports(airflow=1, mlflow=2), sockets='x')); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(file)], timeout=30).returncode == -9
    assert file.exists()
    assert read_state(file) is None
    assert RunLock(file).acquire()


def test_a_second_run_says_that_one_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "GRACE_SECONDS", -2.0)  # do not wait for the first one to end
    paths = Paths(tmp_path)
    lock = RunLock(paths.run_file)
    assert lock.acquire()
    with pytest.raises(AlreadyRunningError, match=r"a run of this checkout is up already .* do: use it"):
        Servers(paths, Progress()).__enter__()
