"""One run at a time, and a killed run does not count as one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nightjar.local import servers
from nightjar.local.paths import Paths
from nightjar.local.ports import Ports
from nightjar.local.servers import AlreadyRunningError, Servers
from nightjar.local.state import RunLock, RunState, read_state

PORTS = Ports(airflow=1, mlflow=2, worker_logs=3, trigger_logs=4)


def test_a_run_that_is_up_is_found_and_one_that_ended_is_not(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    assert read_state(file) is None
    lock = RunLock(file)
    assert lock.acquire()
    lock.publish(RunState(pid=7, ports=PORTS))
    assert read_state(file) == RunState(pid=7, ports=PORTS)
    assert not RunLock(file).acquire()
    lock.release()
    assert read_state(file) is None


def test_a_killed_run_leaves_its_file_but_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    program = (
        "import os, signal, sys; from pathlib import Path; from nightjar.local.state import *; "
        "from nightjar.local.ports import Ports; lock = RunLock(Path(sys.argv[1])); assert lock.acquire(); "
        "lock.publish(RunState(pid=os.getpid(), ports=Ports(airflow=1, mlflow=2, worker_logs=3, trigger_logs=4))); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(file)], timeout=30).returncode == -9
    assert file.exists()
    assert read_state(file) is None
    assert RunLock(file).acquire()


def test_a_second_run_says_that_one_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "GRACE_SECONDS", -4.0)  # do not wait for the first one to end
    paths = Paths(tmp_path)
    lock = RunLock(paths.run_file)
    assert lock.acquire()
    with pytest.raises(AlreadyRunningError, match=r"a run of this checkout is up already .* do: use it"):
        Servers(paths).__enter__()
