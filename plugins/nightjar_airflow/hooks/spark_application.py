"""The hook for the Spark application of a DAG run."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from airflow.sdk import BaseHook

from nightjar.code_digest import code_digest
from nightjar.processes import Process
from nightjar.protocol.documents import dump_json, load_json, reading
from nightjar.protocol.errors import ConfigurationError, StorageFullError, UnreachableError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.programs import (
    DEAD_AFTER_SECONDS,
    HEARTBEAT_SECONDS,
    ApplicationFolder,
    Driver,
    Heartbeat,
    Start,
    StartFolder,
)
from nightjar_airflow.hooks.spark_submit import command, configuration_of, master_of, private_properties

if TYPE_CHECKING:
    from airflow.sdk import Connection

START_TIMEOUT_SECONDS = 180.0
STOP_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.15
FULL_BELOW_BYTES = 1 << 20
T = TypeVar("T")
log = logging.getLogger(__name__)


class SparkApplicationHook(BaseHook):
    """Starts, finds, uses and stops the one Spark application of a DAG run.

    The connection configures where it runs: ``host`` is the Spark master, ``extra.conf`` a map of Spark configuration,
    ``extra.deploy_mode`` ``client`` (default) or ``cluster``. All communication goes through files of the lake.

    Args:
        folder: The run's application folder.
        conn_id: The Airflow connection.
    """

    def __init__(self, folder: ApplicationFolder, *, conn_id: str = "spark_default") -> None:
        super().__init__()
        self._folder = folder
        self._conn_id = conn_id
        self._files: StartFolder | None = None

    def ensure(self) -> None:
        """Attach to the running application, or start one and wait until it is ready.

        An application that no longer answers, or was still starting when its task ended, is stopped first; an
        unreachable one stops itself when it sees that another serves the run. One started before the code changed is
        stopped after its current job.

        Raises:
            UnreachableError: when it does not start; the message has the last line of its log.
        """
        with self._alone():
            code = code_digest()
            if self.is_alive():
                if self._code() == code:
                    self.log.info("attached to the Spark application of this run")
                    return
                self.log.info("the code has changed since the Spark application started: starting another")
                self._wait_until_idle()
            self.end()
            connection = self.get_connection(self._conn_id)
            conf = configuration_of(connection)
            self.log.info("starting Spark on %s; configured: %s", master_of(connection), ", ".join(sorted(conf)))
            began = time.monotonic()
            with private_properties(conf) as properties:
                launcher = self._start(connection, properties, code)
            self._wait_until_ready(launcher, began)
        self.log.info("the Spark application is ready after %.1f s", time.monotonic() - began)

    def is_alive(self) -> bool:
        """Return whether the run has an application with a fresh or still changing heartbeat."""
        self._attach()
        beat = self._heartbeat()
        if beat is None or not self._process_is_there():
            return False
        if time.time() - beat.at < 5 * HEARTBEAT_SECONDS:
            return True
        deadline = time.monotonic() + 6 * HEARTBEAT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            next_beat = self._heartbeat()
            if next_beat is not None and next_beat != beat:
                return True
        return False

    def is_running(self, task_id: str) -> bool:
        """Return whether the application is working on this task."""
        beat = self._heartbeat()
        return beat is not None and beat.task == task_id

    def submit(self, spec: JobSpec) -> None:
        """Put a spec into the inbox, after removing an older result and log of the task."""
        from nightjar.lake import files

        for name in ("result.json", "job.log"):
            files.delete_file(f"{spec.output}/{name}")
        here = self._serving()
        files.delete_file(f"{here.cancelled}/{spec.task_id}")
        files.write_text(f"{spec.output}/spec.json", dump_json(spec))
        files.write_text(f"{here.inbox}/{spec.task_id}.json", dump_json(spec))

    def results(self, spec: JobSpec, on_line: Callable[[str], None]) -> Iterator[JobResult | None]:
        """Yield None while the job runs, then its result; every new log line goes to ``on_line``.

        Raises:
            UnreachableError: when the application dies meanwhile.
        """
        from nightjar.lake import files
        from nightjar.lake.results import read_result

        seen = 0
        last_beat, beat_at = self._heartbeat(), time.monotonic()
        while True:
            over = files.exists(f"{spec.output}/result.json")  # checked before the log, as the log is written first
            seen = self._new_lines(f"{spec.output}/job.log", seen, on_line)
            if over:
                yield read_result(f"{spec.output}/result.json")
                return
            beat = self._heartbeat()
            if beat != last_beat:
                last_beat, beat_at = beat, time.monotonic()
            if time.monotonic() - beat_at > DEAD_AFTER_SECONDS or not self._process_is_there():
                files.write_text(f"{spec.output}/spec.json", dump_json(spec))  # raises when the lake is full
                raise UnreachableError(
                    f"the Spark application died while it ran {spec.task_id}: {self._tail()}",
                    where=self._folder.log,
                    fix="nothing; the task starts another one, and is retried when that dies too",
                )
            yield None
            time.sleep(POLL_SECONDS)

    def cancel(self, spec: JobSpec) -> None:
        """Cancel a task's job: withdraw it when it has not started, otherwise cancel its Spark jobs."""
        from nightjar.lake import files

        if self._files is not None:
            files.delete_file(f"{self._files.inbox}/{spec.task_id}.json")
            files.write_text(f"{self._files.cancelled}/{spec.task_id}", "")

    def stop(self) -> None:
        """Stop the application after its current job; kill a local one that does not stop."""
        from nightjar.lake import files

        self._attach()
        if self._files is not None and self._heartbeat() is not None:
            files.write_text(self._files.stop, "")
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            while time.monotonic() < deadline and self._is_up():
                time.sleep(POLL_SECONDS)
        self.end()
        self.log.info("no Spark application serves this run now")

    def end(self) -> None:
        """Stop the run's application now, ready or starting: a local one is killed, any other stops itself."""
        from nightjar.lake import files

        launcher, driver = self._launcher(), self._driver()
        files.delete_file(self._folder.current)
        for process in (launcher, driver):
            if process and process.kill_group():
                self.log.warning("killed the remaining Spark application")
        self._files = None

    def _serving(self) -> StartFolder:
        if self._files is None:
            raise UnreachableError(
                "no Spark application serves this run", where=self._folder.root, fix="clear the task"
            )
        return self._files

    def _attach(self) -> None:
        """Find the current start of the run's application."""
        current = self._current()
        self._files = self._folder.of_start(current.start) if current else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock out other tasks of this machine while finding, stopping and starting the run's application."""
        folder = Path(self._folder.root)
        if not folder.is_absolute():
            yield
            return
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _code(self) -> str | None:
        """Return the digest of the code with which the current application was started."""
        current = self._current()
        return current.code if current else None

    def _wait_until_idle(self) -> None:
        """Wait until the application is idle or has stopped."""
        from nightjar.lake import files

        here = self._serving()
        while self.is_alive():
            beat = self._heartbeat()
            if beat is not None and not beat.task and not files.list_files(here.inbox):
                return
            time.sleep(POLL_SECONDS)

    def _start(self, connection: Connection, properties: int, code: str) -> subprocess.Popen[bytes]:
        """Start the application detached from this task, which ends long before the application does."""
        import nightjar_spark
        from nightjar.lake import files

        start = uuid4().hex[:12]
        program = Path(next(iter(nightjar_spark.__path__))) / "application.py"
        line = command(connection, properties, program, ["--folder", self._folder.root, "--start", start])
        self._files = self._folder.of_start(start)
        files.write_text(self._folder.current, dump_json(Start(start=start, launcher=None, code=code)))
        log = Path(self._folder.log)
        with log.open("ab") if log.is_absolute() else nullcontext() as output:
            launcher = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,  # a task's stdin is a socket; Airflow waits a minute for its holders
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[properties],
            )
        running = Start(start=start, launcher=Process.of(launcher.pid), code=code)
        files.write_text(self._folder.current, dump_json(running))
        return launcher

    def _wait_until_ready(self, launcher: subprocess.Popen[bytes], began: float) -> None:
        while self._driver() is None:
            status = launcher.poll()
            if status:
                self.end()
                self._check_space()
                raise UnreachableError(
                    f"the Spark application ended with status {status} before it was ready: {self._tail()}",
                    where=self._folder.log,
                    fix="check Java 17, the Spark connection and the log, then clear the task",
                )
            if time.monotonic() - began > START_TIMEOUT_SECONDS:
                self.end()
                raise UnreachableError(
                    f"the Spark application was not ready after {START_TIMEOUT_SECONDS:.0f} s",
                    where=self._folder.log,
                    fix="check that the Spark master has room, then clear the task",
                )
            time.sleep(POLL_SECONDS)

    def _check_space(self) -> None:
        """Check for full disks: Spark on a full disk fails with varying errors that do not name it.

        Raises:
            StorageFullError: naming its folders on this machine that are full.
        """
        scratch = os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")
        folders = [folder for folder in (*scratch, str(Path(self._folder.log).parent)) if Path(folder).is_dir()]
        full = [folder for folder in folders if shutil.disk_usage(folder).free < FULL_BELOW_BYTES]
        if full:
            raise StorageFullError(
                f"no space left for Spark to start: {self._tail()}",
                where=", ".join(full),
                how_many=len(full),
                fix="free space (`make clean` removes local state) or enlarge the volume, then clear the task",
            )

    def _heartbeat(self) -> Heartbeat | None:
        return self._read(self._files.heartbeat, Heartbeat) if self._files else None

    def _driver(self) -> Process | None:
        driver = self._read(self._files.state, Driver) if self._files else None
        return driver.process if driver else None

    def _current(self) -> Start | None:
        return self._read(self._folder.current, Start)

    def _launcher(self) -> Process | None:
        current = self._current()
        return current.launcher if current else None

    @staticmethod
    def _read(uri: str, cls: type[T]) -> T | None:
        """Parse a file of the application's folder; None when it is missing or invalid.

        Then no application is known to serve the run, and the next task starts one, which rewrites the files.
        """
        from nightjar.lake import files

        try:
            with reading("a file of the Spark application", where=uri, fix="nothing; it is written again"):
                return load_json(cls, files.read_bytes(uri))
        except FileNotFoundError:
            return None
        except ConfigurationError as error:
            log.warning("%s", error)
            return None

    def _process_is_there(self) -> bool:
        """Return False only when the driver ran on this machine and has ended."""
        driver = self._driver()
        return driver is None or not driver.is_here or driver.is_alive

    def _is_up(self) -> bool:
        """Return whether an application that was asked to stop still exists."""
        driver = self._driver()
        return driver.is_alive if driver and driver.is_here else self._heartbeat() is not None

    def _tail(self) -> str:
        """Return the last meaningful line of a local application's log."""
        path = Path(self._folder.log)
        if not path.is_file():
            return "no log on this machine"
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "Exception" in line or "Error" in line or "ERROR" in line]
        return (errors or lines or ["its log is empty"])[-1][:400]

    @staticmethod
    def _new_lines(uri: str, seen: int, on_line: Callable[[str], None]) -> int:
        from nightjar.lake import files

        try:
            lines = files.read_text(uri).splitlines()
        except FileNotFoundError:
            return seen
        for line in lines[seen:]:
            on_line(line)
        return max(seen, len(lines))
