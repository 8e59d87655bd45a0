"""The hook to the Spark application of a DAG run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook

from nightjar.contracts.errors import ConfigurationError, UnreachableError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.programs import DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS, ApplicationFolder

START_TIMEOUT_SECONDS = 180.0
STOP_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.15


class SparkApplicationHook(BaseHook):
    """Starts, finds, asks and ends the one Spark application of a DAG run.

    The connection says where it runs: ``host`` is the Spark master, ``extra.conf`` a map of Spark configuration,
    ``extra.deploy_mode`` ``client`` (default) or ``cluster``. All exchange goes through files of the lake.

    Args:
        folder: The run's application folder.
        conn_id: The Airflow connection.
    """

    def __init__(self, folder: ApplicationFolder, *, conn_id: str = "spark_default") -> None:
        super().__init__()
        self._folder = folder
        self._conn_id = conn_id

    def ensure(self) -> None:
        """Attach to the application that runs, or start one and wait until it is ready.

        Raises:
            UnreachableError: when it does not come up; the last lines of its log are in the message.
        """
        if self.is_alive():
            self.log.info("attached to the Spark application of this run")
            return
        from nightjar.lake import files

        for leftover in (self._folder.stop, self._folder.state, self._folder.heartbeat):
            files.delete_file(leftover)
        command = self._command()
        self.log.info("starting: %s", " ".join(command))
        began = time.monotonic()
        process = self._start(command)
        while not files.exists(self._folder.state):
            if process.poll() not in (None, 0):
                raise UnreachableError(
                    f"the Spark application ended with status {process.returncode} before it was ready: {self._tail()}",
                    where=self._folder.log,
                    fix="check Java 17, the Spark connection and the log, then clear the task",
                )
            if time.monotonic() - began > START_TIMEOUT_SECONDS:
                os.killpg(process.pid, signal.SIGKILL)
                raise UnreachableError(
                    f"the Spark application was not ready after {START_TIMEOUT_SECONDS:.0f} s",
                    where=self._folder.log,
                    fix="check that the Spark master has room, then clear the task",
                )
            time.sleep(POLL_SECONDS)
        self.log.info("the Spark application is ready after %.1f s", time.monotonic() - began)

    def is_alive(self) -> bool:
        """Whether the application's heartbeat is fresh or still beating."""
        beat = self._heartbeat()
        if beat is None or not self._process_is_there():
            return False
        if time.time() - beat["at"] < 5 * HEARTBEAT_SECONDS:
            return True
        deadline = time.monotonic() + 6 * HEARTBEAT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            later = self._heartbeat()
            if later is not None and later != beat:
                return True
        return False

    def is_running(self, task_id: str) -> bool:
        """Whether the application works on this task right now."""
        beat = self._heartbeat()
        return beat is not None and beat["task"] == task_id

    def submit(self, spec: JobSpec) -> None:
        """Put a spec into the inbox; an older result and log of the same task are removed first."""
        from nightjar.lake import files

        for name in ("result.json", "job.log"):
            files.delete_file(f"{spec.output}/{name}")
        files.delete_file(f"{self._folder.cancelled}/{spec.task_id}")
        files.write_text(f"{spec.output}/spec.json", spec.to_json())
        files.write_text(f"{self._folder.inbox}/{spec.task_id}.json", spec.to_json())

    def results(self, spec: JobSpec, on_line: Callable[[str], None]) -> Iterator[JobResult | None]:
        """Yield None while the job runs, then its result; every new log line goes to ``on_line``.

        Raises:
            UnreachableError: when the application died meanwhile.
        """
        from nightjar.lake import files

        seen = 0
        last_beat, beat_at = self._heartbeat(), time.monotonic()
        while True:
            over = files.exists(f"{spec.output}/result.json")  # looked at before the log: the log is written first
            seen = self._new_lines(f"{spec.output}/job.log", seen, on_line)
            if over:
                yield JobResult.from_json(files.read_text(f"{spec.output}/result.json"))
                return
            beat = self._heartbeat()
            if beat != last_beat:
                last_beat, beat_at = beat, time.monotonic()
            if time.monotonic() - beat_at > DEAD_AFTER_SECONDS or not self._process_is_there():
                files.write_text(f"{spec.output}/spec.json", spec.to_json())  # a full lake says so, and is why it died
                raise UnreachableError(
                    f"the Spark application died while it ran {spec.task_id}: {self._tail()}",
                    where=self._folder.log,
                    fix="nothing; the task starts another one, and is retried when that dies too",
                )
            yield None
            time.sleep(POLL_SECONDS)

    def cancel(self, spec: JobSpec) -> None:
        """Give up a task's job: not begun, it is withdrawn; running, its Spark jobs are cancelled."""
        from nightjar.lake import files

        files.delete_file(f"{self._folder.inbox}/{spec.task_id}.json")
        files.write_text(f"{self._folder.cancelled}/{spec.task_id}", "")

    def stop(self) -> None:
        """End the application; a local one that does not end is killed."""
        from nightjar.lake import files

        if self._heartbeat() is None:
            self.log.info("no Spark application is running")
            return
        files.write_text(self._folder.stop, "")
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self._process_is_there() if self._is_here() else files.exists(self._folder.heartbeat):
            if time.monotonic() > deadline:
                self._kill()
                break
            time.sleep(POLL_SECONDS)
        files.delete_file(self._folder.heartbeat)
        self.log.info("the Spark application has ended")

    def _command(self) -> list[str]:
        connection = self.get_connection(self._conn_id)
        extra: dict[str, Any] = connection.extra_dejson
        master = connection.host or ""
        if not master:
            raise ConfigurationError(
                f"the connection {self._conn_id} names no Spark master",
                where=f"AIRFLOW_CONN_{self._conn_id.upper()}",
                fix='set its host, e.g. {"conn_type": "spark", "host": "local[*]"}',
            )
        if connection.port:
            master = f"{master}:{connection.port}"
        conf = dict(extra.get("conf", {}))
        jars = sorted(str(path) for path in Path(os.environ.get("NIGHTJAR_JARS", "")).glob("*.jar"))
        if jars:
            conf["spark.jars"] = ",".join(jars)
        command = [self._spark_submit(), "--master", master, "--deploy-mode", extra.get("deploy_mode", "client")]
        command += ["--name", "nightjar"]
        for key, value in sorted(conf.items()):
            command += ["--conf", f"{key}={value}"]
        import nightjar_spark

        program = Path(next(iter(nightjar_spark.__path__))) / "application.py"
        return [*command, str(program), "--folder", self._folder.root]

    @staticmethod
    def _spark_submit() -> str:
        home = os.environ.get("SPARK_HOME")
        found = shutil.which("spark-submit", path=f"{home}/bin" if home else None)
        if found is None:
            raise ConfigurationError(
                "spark-submit is not there", where="SPARK_HOME", fix="run `make setup`, or set SPARK_HOME"
            )
        return found

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start it apart from this task, which ends long before the application does."""
        log = Path(self._folder.log)
        if log.is_absolute():
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as output:
                return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        return subprocess.Popen(command, start_new_session=True)

    def _heartbeat(self) -> dict[str, Any] | None:
        return self._read_json(self._folder.heartbeat)

    @staticmethod
    def _read_json(uri: str) -> dict[str, Any] | None:
        from nightjar.lake import files

        try:
            document: dict[str, Any] = json.loads(files.read_text(uri))
        except FileNotFoundError:
            return None
        return document

    def _is_here(self) -> bool:
        """Whether the application runs, or ran, on this very machine."""
        state = self._read_json(self._folder.state)
        return state is not None and state["host"] == socket.gethostname()

    def _process_is_there(self) -> bool:
        """False only when it ran on this very machine and is gone."""
        state = self._read_json(self._folder.state)
        if state is None or state["host"] != socket.gethostname():
            return True
        return Path(f"/proc/{state['pid']}").exists()

    def _kill(self) -> None:
        state = self._read_json(self._folder.state)
        if state is not None and self._is_here() and self._process_is_there():
            self.log.warning("the Spark application does not end: killing it")
            os.killpg(os.getpgid(int(state["pid"])), signal.SIGKILL)

    def _tail(self) -> str:
        """The last telling line of a local application's log."""
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
