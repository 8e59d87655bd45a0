"""Log a running training to MLflow from a separate thread; training goes on when MLflow does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from nightjar.protocol.errors import NightjarError
from nightjar.registry import rest
from nightjar.registry.system import SystemFigures

log = logging.getLogger(__name__)

SEND_INTERVAL_SECONDS = 2.0
BATCH = 900
"""Metrics in one call; MLflow accepts 1000."""

Figure = dict[str, Any]
"""A metric in MLflow's API: key, value, timestamp (milliseconds), step."""


class LiveRun:
    """One MLflow run that grows while a training runs.

    It continues the run of the same training (``identity``) that a killed attempt has left. Methods do not raise when
    MLflow fails: metrics wait for the next call, or ``register`` logs them from the training's output.

    Args:
        uri: The MLflow server.
        experiment: Name of the experiment; created when missing.
        run_name: Display name of the run.
        identity: Tags that identify the training.
    """

    def __init__(self, uri: str, experiment: str, run_name: str, identity: Mapping[str, str]) -> None:
        self._uri = uri
        self._experiment = experiment
        self._run_name = run_name
        self._identity = identity
        self._run_id = ""
        self._unreachable = False
        self._waiting: list[Figure] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._system = SystemFigures()
        self._thread = threading.Thread(target=self._send_periodically, daemon=True)
        self._thread.start()

    def report(self, step: int, figures: Mapping[str, float]) -> None:
        """Queue the metrics of a round; returns immediately."""
        now = int(time.time() * 1000)
        with self._lock:
            self._waiting += [
                {"key": key, "value": float(value), "timestamp": now, "step": step} for key, value in figures.items()
            ]

    def close(self, *, succeeded: bool) -> None:
        """Send the remaining metrics and end the run; tries once."""
        self._closed.set()
        self._thread.join(timeout=4 * rest.TIMEOUT_SECONDS)
        if self._send():
            status = {"run_id": self._run_id, "status": "FINISHED" if succeeded else "FAILED"}
            self._call("POST", "runs/update", {**status, "end_time": int(time.time() * 1000)})
        else:
            log.warning("WARNING %d metrics were not sent to MLflow; `register` will log them", len(self._waiting))

    def _send_periodically(self) -> None:
        step = 0
        while not self._closed.wait(SEND_INTERVAL_SECONDS):
            step += 1
            self.report(step, self._system.read())
            self._send()

    def _send(self) -> bool:
        """Send all waiting metrics; return whether MLflow accepted them."""
        try:
            if not self._run_id:
                self._run_id = self._start()
            while self._waiting:
                figures = self._waiting[:BATCH]
                self._call("POST", "runs/log-batch", {"run_id": self._run_id, "metrics": figures})
                with self._lock:
                    del self._waiting[: len(figures)]
        except NightjarError as error:
            if not self._unreachable:
                log.warning("WARNING training goes on without MLflow: %s", error)
            self._unreachable = True
            return False
        if self._unreachable:
            log.info("MLflow answers again and has received the missing metrics")
        self._unreachable = False
        return True

    def _start(self) -> str:
        """Resume the run of an earlier attempt, or create one; return its id."""
        experiment = rest.experiment_id(self._uri, self._experiment)
        same_training = " and ".join(f"tags.`{key}` = '{value}'" for key, value in self._identity.items())
        search = {"experiment_ids": [experiment], "filter": same_training, "max_results": 1}
        if runs := self._call("POST", "runs/search", search).get("runs"):
            run_id = str(runs[0]["info"]["run_id"])
            self._call("POST", "runs/update", {"run_id": run_id, "status": "RUNNING"})
            return run_id
        arguments = {
            "experiment_id": experiment,
            "run_name": self._run_name,
            "start_time": int(time.time() * 1000),
            "tags": [{"key": key, "value": value} for key, value in self._identity.items()],
        }
        return str(self._call("POST", "runs/create", arguments)["run"]["info"]["run_id"])

    def _call(self, method: str, path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return rest.call(self._uri, method, path, arguments) or {}
