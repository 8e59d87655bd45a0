"""A training as MLflow shows it while it runs, told from a thread of its own: MLflow may go away without harm."""

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
"""Figures in one call; MLflow takes 1000."""

Figure = dict[str, Any]
"""A metric as MLflow's API takes it: key, value, timestamp (milliseconds), step."""


class LiveRun:
    """One MLflow run that grows while a training runs.

    A run of the same training (``identity``), left by a try that was killed, is gone on with. Nothing here raises: what
    MLflow does not take is kept and told later, or by ``register``, which has everything from the training's output.

    Args:
        uri: The MLflow server.
        experiment: The experiment's name; made when it is not there.
        run_name: For people.
        identity: Tags that tell two trainings apart.
    """

    def __init__(self, uri: str, experiment: str, run_name: str, identity: Mapping[str, str]) -> None:
        self._uri = uri
        self._experiment = experiment
        self._run_name = run_name
        self._identity = identity
        self._run_id = ""
        self._away = False
        self._waiting: list[Figure] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._system = SystemFigures()
        self._thread = threading.Thread(target=self._send_periodically, daemon=True)
        self._thread.start()

    def report(self, step: int, figures: Mapping[str, float]) -> None:
        """Take figures of a round; returns at once."""
        now = int(time.time() * 1000)
        with self._lock:
            self._waiting += [
                {"key": key, "value": float(value), "timestamp": now, "step": step} for key, value in figures.items()
            ]

    def close(self, *, succeeded: bool) -> None:
        """Tell what is left and end the run; gives up after one try."""
        self._over.set()
        self._thread.join(timeout=4 * rest.TIMEOUT_SECONDS)
        if self._try():
            status = {"run_id": self._run_id, "status": "FINISHED" if succeeded else "FAILED"}
            self._call("POST", "runs/update", {**status, "end_time": int(time.time() * 1000)})
        else:
            log.warning("WARNING MLflow has not been told %d figures; `register` tells them", len(self._waiting))

    def _send_periodically(self) -> None:
        step = 0
        while not self._over.wait(SEND_INTERVAL_SECONDS):
            step += 1
            self.report(step, self._system.read())
            self._try()

    def _try(self) -> bool:
        """Tell everything that waits; whether MLflow took it."""
        try:
            if not self._run_id:
                self._run_id = self._start()
            while self._waiting:
                figures = self._waiting[:BATCH]
                self._call("POST", "runs/log-batch", {"run_id": self._run_id, "metrics": figures})
                with self._lock:
                    del self._waiting[: len(figures)]
        except NightjarError as error:
            if not self._away:
                log.warning("WARNING training goes on without MLflow: %s", error)
            self._away = True
            return False
        if self._away:
            log.info("MLflow answers again and has been told what it missed")
        self._away = False
        return True

    def _start(self) -> str:
        """The run of an earlier try, running again, or a new one."""
        experiment = rest.experiment_id(self._uri, self._experiment)
        same = " and ".join(f"tags.`{key}` = '{value}'" for key, value in self._identity.items())
        search = {"experiment_ids": [experiment], "filter": same, "max_results": 1}
        if found := self._call("POST", "runs/search", search).get("runs"):
            run_id = str(found[0]["info"]["run_id"])
            self._call("POST", "runs/update", {"run_id": run_id, "status": "RUNNING"})
            return run_id
        new = {
            "experiment_id": experiment,
            "run_name": self._run_name,
            "start_time": int(time.time() * 1000),
            "tags": [{"key": key, "value": value} for key, value in self._identity.items()],
        }
        return str(self._call("POST", "runs/create", new)["run"]["info"]["run_id"])

    def _call(self, method: str, path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return rest.call(self._uri, method, path, arguments) or {}
