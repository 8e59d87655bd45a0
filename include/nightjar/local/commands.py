"""Makefile commands that need servers or the lake."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path

from nightjar.declaration.use_case import UseCase
from nightjar.lake.results import task_result
from nightjar.local import plan, results, summary
from nightjar.local.airflow_login import USER, admin_password
from nightjar.local.follow import POLL_SECONDS, Request, RunFailedError
from nightjar.local.jars import resolve as resolve_jars
from nightjar.local.java import HOW_TO_GET_IT, find_java_home
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.query import run_query
from nightjar.local.session import Session, any_servers, own_servers
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.results import MaintainLakeResult


def run(paths: Paths, *, stay: bool) -> None:
    """``make run``: start the servers, load the history, train a first model, run three nights, and print the results.

    Args:
        paths: The checkout.
        stay: Whether to keep the servers up until Ctrl-C.
    """
    use_case = plan.chosen_use_case("")
    first, last = plan.first_history(use_case)
    with Progress() as progress, own_servers(paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(use_case))
        for request in (plan.history(use_case, first, last), plan.training(use_case, first, last)):
            _ensure(session, progress, request)
        nights = [session.follower.find(plan.night(use_case, night)) for night in plan.first_nights(use_case)]
        for request in nights:
            _ensure(session, progress, request)
        progress.say(_closing_message(paths, use_case, session, nights, progress.seconds))
        if stay:
            _stay_up(session, progress)


def up(paths: Paths) -> None:
    """``make up``: run the servers alone until Ctrl-C; DAGs stay paused or unpaused as they are."""
    with Progress() as progress, own_servers(paths, progress) as session:
        login = f"user {USER}, password {admin_password(paths.airflow_home)}"
        progress.say(f"Airflow {session.ports.airflow_url}   {login}")
        progress.say(f"MLflow  {session.ports.mlflow_url}")
        _stay_up(session, progress)


def night(paths: Paths, use_case: UseCase, day: str) -> None:
    """``make night``: run one night of a use case; rerun it when it has run before."""
    wanted, _ = plan.parse_nights(use_case, day, day)
    with Progress() as progress, any_servers(paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(use_case)[2:])
        request = session.follower.find(plan.night(use_case, wanted))
        _ensure(session, progress, request, again=True)
        progress.say(summary.nights_table([results.night_outcome(paths.lake, request, wanted)]))


def train(paths: Paths, use_case: UseCase, nights: tuple[date, date], *, again: bool) -> None:
    """``make train``: train a use case, after loading missing history.

    Args:
        paths: The checkout.
        use_case: The use case.
        nights: First and last night to load and train on.
        again: Whether to train even when the same training has been done.
    """
    attempt = f"{datetime.now(UTC):%Y%m%d-%H%M%S}" if again else ""
    request = plan.training(use_case, *nights, attempt=attempt)
    with Progress() as progress, any_servers(paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(use_case)[:2])
        _ensure(session, progress, plan.history(use_case, *nights))
        _ensure(session, progress, request)
        progress.say(results.training_outcome(paths.lake, request, use_case).line())


def maintain(paths: Paths) -> None:
    """``make maintain``: remove what no reader of the lake needs any more, and print the result per table."""
    request = plan.maintenance(datetime.now(UTC))
    with Progress() as progress, any_servers(paths, progress) as session:
        session.follower.wait_parsed((plan.MAINTENANCE,))
        _ensure(session, progress, request)
        for task in session.api.tasks(request.dag_id, request.run_id):
            done = task_result(results.run_dir(paths.lake, request), task.task_id, MaintainLakeResult)
            progress.say(summary.maintenance_table(done.tables))


def reproduce(paths: Paths, use_case: UseCase, version: str) -> None:
    """``make reproduce``: train a registered version a second time and compare hashes.

    Raises:
        RunFailedError: when the hashes differ; the program has printed why.
    """
    command = [sys.executable, "-m", "nightjar_jobs.reproduce", "--use-case", use_case.name, "--version", version]
    with Progress() as progress, any_servers(paths, progress) as session:
        if subprocess.run(command, env=dict(session.environ)).returncode:
            raise RunFailedError(f"version {version} of {use_case.name} is not reproduced; see the lines above")


def query(paths: Paths, sql: str) -> None:
    """``make query``: print the result of ``sql``, or the list of tables."""
    print(run_query(paths.lake, sql))


def jars(paths: Paths) -> None:
    """Resolve the Delta JARs with the Spark of the current Python, as in an image build."""
    java_home = find_java_home(paths.packaged_java)
    pyspark = find_spec("pyspark")
    if java_home is None or pyspark is None or pyspark.origin is None:
        raise ConfigurationError("Java 17 or pyspark is missing", where="the image", fix=HOW_TO_GET_IT)
    resolve_jars(paths, Path(pyspark.origin).parent, Path(sys.executable), java_home, paths.logs / "setup.log")


def _stay_up(session: Session, progress: Progress) -> None:
    progress.say("Airflow and MLflow stay up; Ctrl-C ends them.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            session.check()
            time.sleep(POLL_SECONDS)


def _ensure(session: Session, progress: Progress, request: Request, *, again: bool = False) -> None:
    began = progress.seconds
    if session.follower.ensure(request, again=again):
        progress.say(f"{progress.seconds:5.0f} s  {request.title}: done in {progress.seconds - began:.0f} s")
    else:
        progress.say(f"{progress.seconds:5.0f} s  {request.title}: done before")


def _closing_message(
    paths: Paths, use_case: UseCase, session: Session, nights: Sequence[Request], seconds: float
) -> str:
    lake = paths.lake
    first_nights = plan.first_nights(use_case)
    return summary.render(
        nights=[
            results.night_outcome(lake, request, night) for request, night in zip(nights, first_nights, strict=True)
        ],
        training=results.training_outcome(lake, plan.training(use_case, *plan.first_history(use_case)), use_case),
        riskiest=results.riskiest(lake, use_case, first_nights[-1]),
        airflow_url=session.ports.airflow_url,
        mlflow_url=session.ports.mlflow_url,
        login=(USER, admin_password(paths.airflow_home)),
        lake=lake,
        score_table=use_case.score_table.name,
        seconds=seconds,
    )
