"""The commands of the Makefile that need servers or the lake."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.local import plan, results, summary
from nightjar.local.airflow_login import USER, admin_password
from nightjar.local.follow import POLL_SECONDS, Request, RunFailedError
from nightjar.local.jars import resolve as resolve_jars
from nightjar.local.java import HOW_TO_GET_IT, find_java_home
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.local.query import run_query
from nightjar.local.session import Session, any_servers, own_servers


def run(paths: Paths, *, stay: bool) -> None:
    """``make run``: servers, history, first model, three nights, and what they have made.

    Args:
        paths: The checkout.
        stay: Keep the servers up until Ctrl-C.
    """
    use_case = load_use_case(plan.USE_CASE)
    with Progress() as progress, own_servers(paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(use_case))
        for request in (plan.history(use_case, *plan.HISTORY), plan.training(use_case, *plan.HISTORY)):
            _ensure(session, progress, request)
        nights = [session.follower.find(plan.night(use_case, night)) for night in plan.FIRST_NIGHTS]
        for request in nights:
            _ensure(session, progress, request)
        progress.say(_closing_message(paths, use_case, session, nights, progress.seconds))
        if stay:
            progress.say("Airflow and MLflow stay up; Ctrl-C ends them.")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    session.check()
                    time.sleep(POLL_SECONDS)


def night(paths: Paths, day: str) -> None:
    """``make night``: run one night, again when it has run before."""
    use_case = load_use_case(plan.USE_CASE)
    wanted, _ = plan.parse_nights(use_case, day, day)
    with Progress() as progress, any_servers(paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(use_case)[2:])
        request = session.follower.find(plan.night(use_case, wanted))
        _ensure(session, progress, request, again=True)
        progress.say(summary.nights_table([results.night_outcome(paths.lake, request, wanted)]))


def train(paths: Paths, *, again: bool) -> None:
    """``make train``: train on the first history, loading it when it is not there.

    Args:
        paths: The checkout.
        again: Train although this very training has been done.
    """
    use_case = load_use_case(plan.USE_CASE)
    attempt = f"{datetime.now(UTC):%Y%m%d-%H%M%S}" if again else ""
    request = plan.training(use_case, *plan.HISTORY, attempt=attempt)
    with Progress() as progress, any_servers(paths, progress) as session:
        session.follower.wait_parsed(plan.dag_ids(use_case)[:2])
        _ensure(session, progress, plan.history(use_case, *plan.HISTORY))
        _ensure(session, progress, request)
        progress.say(results.training_outcome(paths.lake, request).line())


def maintain(paths: Paths) -> None:
    """``make maintain``: remove what no reader of the lake needs any more, and say what was done to each table."""
    use_case = load_use_case(plan.USE_CASE)
    request = plan.maintenance(datetime.now(UTC))
    with Progress() as progress, any_servers(paths, progress) as session:
        session.follower.wait_parsed((plan.MAINTENANCE,))
        _ensure(session, progress, request)
        done = results.task_result(paths.lake, request, f"maintain_{use_case.name}").values
        progress.say(summary.maintenance_table(done))


def reproduce(paths: Paths, version: str) -> None:
    """``make reproduce``: train a registered version again and compare hashes.

    Raises:
        RunFailedError: when it cannot be reproduced; the program has said why.
    """
    command = [sys.executable, "-m", "nightjar_jobs.reproduce", "--use-case", plan.USE_CASE, "--version", version]
    with Progress() as progress, any_servers(paths, progress) as session:
        if subprocess.run(command, env=dict(session.environ)).returncode:
            raise RunFailedError(f"version {version} of {plan.USE_CASE} is not reproduced; see the lines above")


def query(paths: Paths, sql: str) -> None:
    """``make query``: print the answer to ``sql``, or the list of tables."""
    print(run_query(paths.lake, sql))


def jars(paths: Paths) -> None:
    """Resolve the Delta JARs with the Spark of this very Python, as an image is built."""
    java_home = find_java_home(paths.packaged_java)
    pyspark = find_spec("pyspark")
    if java_home is None or pyspark is None or pyspark.origin is None:
        raise ConfigurationError("Java 17 or pyspark is missing", where="the image", fix=HOW_TO_GET_IT)
    resolve_jars(paths, Path(pyspark.origin).parent, Path(sys.executable), java_home, paths.logs / "setup.log")


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
    last = plan.FIRST_NIGHTS[-1]
    return summary.render(
        nights=[
            results.night_outcome(lake, request, night)
            for request, night in zip(nights, plan.FIRST_NIGHTS, strict=True)
        ],
        training=results.training_outcome(lake, plan.training(use_case, *plan.HISTORY)),
        riskiest=results.riskiest(lake, use_case, last),
        airflow_url=session.ports.airflow_url,
        mlflow_url=session.ports.mlflow_url,
        login=(USER, admin_password(paths.airflow_home)),
        lake=lake,
        score_table=use_case.score_table.name,
        seconds=seconds,
    )
