"""A complete deployment for tests: real Airflow, MLflow and Spark, with its own state folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nightjar.declaration.use_case import load_use_case
from nightjar.local import plan
from nightjar.local.follow import Request, RunFailedError
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.session import Session, own_servers

USE_CASE = load_use_case(plan.USE_CASE)


def processes_of(paths: Paths) -> list[str]:
    """Command lines of the processes whose environment or command line names the state of ``paths``."""
    marks = {f"AIRFLOW_HOME={paths.airflow_home}".encode(), os.fsencode(paths.postgres)}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "environ").read_bytes() + b"\0" + (process / "cmdline").read_bytes()
            if marks & set(words.split(b"\0")):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


@dataclass(frozen=True)
class FirstRun:
    """Run ``make run EXIT=1`` like a new user."""

    output: str
    paths: Paths

    @property
    def lake(self) -> str:
        return str(self.paths.lake)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """History, training and three nights, through the command that ``make run`` calls."""
    var = tmp_path_factory.mktemp("nightjar") / "var"
    paths = Paths(Paths.here().root, var)
    done = subprocess.run(
        [sys.executable, "-m", "nightjar.local", "run"],
        env={**os.environ, "NIGHTJAR_VAR": str(var), "EXIT": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-4000:]
    return FirstRun(done.stdout, paths)


@dataclass(frozen=True)
class Deployment:
    """Servers on the state of the first run."""

    session: Session
    paths: Paths

    @property
    def lake(self) -> str:
        return str(self.paths.lake)

    def run(self, request: Request) -> None:
        """Run a night to success; rerun it when it has run before."""
        self.session.follower.ensure(request, again=True)

    def fail(self, dag: str, run_id: str, conf: dict[str, Any]) -> str:
        """Run a night to failure, and return the reason shown in the UI."""
        request = Request(title=run_id, dag_id=f"{USE_CASE.name}_{dag}", run_id=run_id, conf=conf)
        with pytest.raises(RunFailedError) as failure:
            self.session.follower.ensure(request)
        return str(failure.value)


@pytest.fixture(scope="module")
def deployment(first_run: FirstRun) -> Iterator[Deployment]:
    """Airflow and MLflow of the first run, up again."""
    with Progress() as progress, own_servers(first_run.paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(USE_CASE))
        yield Deployment(session, first_run.paths)
