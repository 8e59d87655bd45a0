"""Tuning trials in MLflow: one run for each trial, nested in one run for all trials of an Airflow run.

A trial is logged when it has finished, so that a worker that dies leaves no run in state RUNNING.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nightjar.protocol.errors import NightjarError
from nightjar.protocol.job import JobSpec
from nightjar.registry import rest
from nightjar.settings.secrets import without_credentials

log = logging.getLogger(__name__)

STATE_TAG = "nightjar.trial_state"
STUDY_TAG = "nightjar.study"
_PARENT_TAG = "mlflow.parentRunId"
State = Literal["FINISHED", "PRUNED", "FAILED"]
# MLflow has no state for a pruned run.
_STATUS: Mapping[State, str] = {"FINISHED": "FINISHED", "PRUNED": "KILLED", "FAILED": "FAILED"}


@dataclass(frozen=True, kw_only=True)
class FinishedTrial:
    """A finished trial.

    Attributes:
        name: Display name.
        state: How it ended.
        params: Its hyperparameters.
        metric: Name of the validation metric.
        scores: Its value for each trained fold.
        worker: Number of the worker that ran it.
        started: Start as Unix time, in seconds.
    """

    name: str
    state: State
    params: Mapping[str, Any]
    metric: str
    scores: Sequence[float]
    worker: int
    started: float


class TrialRuns:
    """Log trials to MLflow. A call that fails is logged as a warning and skipped; methods do not raise.

    Args:
        uri: The MLflow server; nothing is logged when empty.
        experiment: Name of the experiment; created when missing.
        name: Display name of the parent run.
        study: Identifies the studies of this Airflow run.
    """

    def __init__(self, uri: str, experiment: str, name: str, study: str) -> None:
        self._uri = uri
        self._experiment = experiment
        self._name = name
        self._study = study

    @classmethod
    def of_run(cls, spec: JobSpec, study: str) -> TrialRuns:
        """Return the runs of a job's studies, on the server that ``MLFLOW_TRACKING_URI`` names, if any."""
        return cls(os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/"), spec.use_case, f"tune {spec.run_id}", study)

    def record(self, trial: FinishedTrial) -> None:
        """Log a run with the trial's parameters, metric by fold, its mean and the state."""
        self._try(lambda: self._record(trial))

    def close(self, params: Mapping[str, Any], metrics: Mapping[str, float]) -> str:
        """End the parent run with the chosen ``params`` and ``metrics``; return its page, empty when MLflow fails."""
        pages: list[str] = []
        self._try(lambda: pages.append(self._close(params, metrics)))
        return pages[0] if pages else ""

    def _try(self, action: Callable[[], None]) -> None:
        if not self._uri:
            return
        try:
            action()
        except NightjarError as error:
            log.warning("WARNING tuning goes on without MLflow: %s", error)

    def _record(self, trial: FinishedTrial) -> None:
        experiment = rest.experiment_id(self._uri, self._experiment)
        tags = {_PARENT_TAG: self._parent(experiment), STATE_TAG: trial.state, "nightjar.worker": str(trial.worker)}
        run_id = self._create(experiment, trial.name, tags, started=trial.started)
        now = int(time.time() * 1000)
        metrics = [
            _metric(f"fold_{trial.metric}", value, now, step) for step, value in enumerate(trial.scores, start=1)
        ]
        if trial.scores:
            metrics.append(_metric(f"mean_{trial.metric}", sum(trial.scores) / len(trial.scores), now, 0))
        self._log(run_id, metrics, trial.params)
        self._call("runs/update", {"run_id": run_id, "status": _STATUS[trial.state], "end_time": now})

    def _close(self, params: Mapping[str, Any], metrics: Mapping[str, float]) -> str:
        experiment = rest.experiment_id(self._uri, self._experiment)
        run_id = self._parent(experiment)
        now = int(time.time() * 1000)
        self._log(run_id, [_metric(name, value, now, 0) for name, value in metrics.items()], params)
        self._call("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": now})
        return f"{without_credentials(self._uri)}/#/experiments/{experiment}/runs/{run_id}"

    def _parent(self, experiment: str) -> str:
        """Return the parent run, created when missing; the first one when workers create it at the same time."""
        if not (runs := self._parents(experiment)):
            own = self._create(experiment, self._name, {STUDY_TAG: self._study}, started=time.time())
            runs = self._parents(experiment) or [own]
            if runs[0] != own:
                self._call("runs/delete", {"run_id": own})
        return runs[0]

    def _parents(self, experiment: str) -> list[str]:
        search = {
            "experiment_ids": [experiment],
            "filter": f"tags.`{STUDY_TAG}` = '{self._study}'",
            "order_by": ["attributes.start_time ASC", "attributes.run_id ASC"],
            "max_results": 10,
        }
        return [str(run["info"]["run_id"]) for run in self._call("runs/search", search).get("runs", [])]

    def _create(self, experiment: str, name: str, tags: Mapping[str, str], *, started: float) -> str:
        new = {
            "experiment_id": experiment,
            "run_name": name,
            "start_time": int(started * 1000),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return str(self._call("runs/create", new)["run"]["info"]["run_id"])

    def _log(self, run_id: str, metrics: list[dict[str, Any]], params: Mapping[str, Any]) -> None:
        entries = [{"key": name, "value": str(value)} for name, value in params.items()]
        self._call("runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": entries})

    def _call(self, path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return rest.call(self._uri, "POST", path, arguments) or {}


def _metric(key: str, value: float, now: int, step: int) -> dict[str, Any]:
    return {"key": key, "value": float(value), "timestamp": now, "step": step}
