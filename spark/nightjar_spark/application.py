"""The Spark application of a DAG run: executes the specs in its folder one at a time and writes results to the lake.

``spark-submit application.py --folder <run folder>/_spark --start <id>``. Session start, JVM warm-up and heavy
imports happen once a night instead of once a task. It ends on request, after a time without requests, or when another
application serves the run.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from importlib import import_module

from pyspark.sql import SparkSession

from nightjar.lake import files
from nightjar.lake.results import read_spec
from nightjar.logs import TIMED, log_to_stdout
from nightjar.processes import Process
from nightjar.protocol.documents import dump_json, load_json, reading
from nightjar.protocol.errors import ConfigurationError, NightjarError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.programs import (
    HEARTBEAT_SECONDS,
    IDLE_SECONDS,
    SPARK_PROGRAMS,
    ApplicationFolder,
    Driver,
    Heartbeat,
    Start,
)
from nightjar.runner import run_program
from nightjar_spark.joblog import JobLog
from nightjar_spark.session import build_session
from nightjar_spark.worker_errors import from_workers

log = logging.getLogger("nightjar.application")
CANCEL_GRACE_SECONDS = 10.0
POLL_SECONDS = 0.1


class Application:
    """Serve one DAG run, until another start replaces this one."""

    def __init__(self, spark: SparkSession, run: ApplicationFolder, start: str) -> None:
        self._spark = spark
        self._run_folder = run
        self._start = start
        self._folder = run.of_start(start)
        self._running = ""
        self._stopped = threading.Event()

    def serve(self) -> None:
        """Run the requests in the inbox until a stop request or the idle timeout."""
        files.write_text(f"{self._run_folder.applications}/{self._spark.sparkContext.applicationId}", "")
        self._beat(0)  # before the state: a client that sees the state then reads the heartbeat
        files.write_text(
            self._folder.state,
            dump_json(Driver(application_id=self._spark.sparkContext.applicationId, process=Process.of(os.getpid()))),
        )
        watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        watcher.start()
        log.info("ready: %s", self._spark.sparkContext.applicationId)
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < IDLE_SECONDS:
            if files.exists(self._folder.stop):
                log.info("stop requested")
                break
            waiting = [name for name in files.list_files(self._folder.inbox) if name.endswith(".json")]
            if not waiting:
                time.sleep(POLL_SECONDS)
                continue
            self._run(f"{self._folder.inbox}/{waiting[0]}")
            idle_since = time.monotonic()
        else:
            log.info("idle for %.0f s: ending", IDLE_SECONDS)
        self._stopped.set()
        watcher.join()
        files.delete_file(self._folder.heartbeat)

    def _run(self, request: str) -> None:
        try:
            spec = read_spec(request)
        except NightjarError as error:
            log.error("a request is invalid: %s", error)
            files.delete_file(request)
            return
        self._running = spec.task_id
        self._beat(0)
        files.delete_file(request)
        with JobLog(f"{spec.output}/job.log") as job_log:
            log.info("%s %s, nights %s to %s", spec.use_case, spec.program, spec.first_night, spec.last_night)
            # the log is complete before the result is visible
            run_program(self._program, spec, before_result=job_log.write)
        self._running = ""

    def _program(self, spec: JobSpec) -> JobResult:
        if spec.program not in SPARK_PROGRAMS:
            raise ConfigurationError(
                f"unknown Spark program {spec.program!r}",
                where="program",
                fix=f"choose one of {', '.join(SPARK_PROGRAMS)}",
            )
        self._spark.sparkContext.setJobDescription(f"{spec.use_case} {spec.program}")
        with from_workers():
            result: JobResult = import_module(f"nightjar_spark.{spec.program}").run(self._spark, spec)
        return result

    def _watch(self) -> None:
        """Write heartbeats; exit with the JVM, for another application, or when a cancelled job hangs."""
        jvm = os.getppid()
        count, cancel_asked = 0, 0.0
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            count += 1
            if os.getppid() != jvm:
                os._exit(1)  # the JVM has exited
            try:
                if not self._serves():
                    log.error("this application no longer serves the run: ending")
                    os._exit(1)
                self._beat(count)
                if self._running and files.exists(f"{self._folder.cancelled}/{self._running}"):
                    cancel_asked = cancel_asked or time.monotonic()
                    self._spark.sparkContext.cancelAllJobs()
                    if time.monotonic() - cancel_asked > CANCEL_GRACE_SECONDS:
                        log.error("%s was cancelled and does not end: the application exits", self._running)
                        os._exit(1)
                else:
                    cancel_asked = 0.0
            except Exception:
                log.exception("heartbeat failed; trying again")

    def _serves(self) -> bool:
        """Whether this application still serves the run."""
        try:
            with reading("the start that serves the run", where=self._run_folder.current, fix="clear the task"):
                current = load_json(Start, files.read_bytes(self._run_folder.current))
        except FileNotFoundError:
            return False
        return current.start == self._start

    def _beat(self, count: int) -> None:
        files.write_text(self._folder.heartbeat, dump_json(Heartbeat(count=count, at=time.time(), task=self._running)))


def main(arguments: list[str]) -> None:
    """Build the session and serve the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="the run's application folder in the lake")
    parser.add_argument("--start", required=True, help="id of this start, as the folder's current.json names it")
    given = parser.parse_args(arguments)
    folder = ApplicationFolder(given.folder)
    log_to_stdout(TIMED)
    for noisy in ("py4j", "pyspark", "great_expectations", "matplotlib", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    spark = build_session("nightjar " + folder.root.rsplit("/", 2)[-2])
    try:
        Application(spark, folder, given.start).serve()
    finally:
        spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
