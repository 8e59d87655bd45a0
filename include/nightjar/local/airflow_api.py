"""A small client of Airflow's REST API for the local commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests

from nightjar.code_places import place_in_use_case
from nightjar.protocol.documents import PARSER_ERRORS, parse_json, parse_object, reading
from nightjar.protocol.errors import NightjarError, UnreachableError

TIMEOUT_SECONDS = 30.0
HEALTH_TIMEOUT_SECONDS = 5.0
PATIENCE_SECONDS = 300.0
"""How long a request is retried: the time that a killed server may take to start on a busy machine."""
PAGE = 100
_NO_ERROR_FIX = "check memory and disk; read var/logs/airflow-scheduler.log"


class ApiError(NightjarError):
    """Airflow rejected a request."""

    kind = "airflow_api"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of a run.

    Attributes:
        task_id: Task id.
        state: ``success``, ``running``, ``failed``, …; None before it is scheduled.
        try_number: Number of the attempt.
        started: Start of the attempt.
    """

    task_id: str
    state: str | None
    try_number: int
    started: datetime | None


class AirflowApi:
    """Client of one Airflow server for one user.

    Args:
        base_url: Address of the server, without a trailing slash.
        user: User name.
        password: Exchanged for a token at the first request and when the token has expired.
        check: Raises when the server has died or is not ours; called before the password is sent and before each
            retry.
    """

    def __init__(self, base_url: str, user: str, password: str, check: Callable[[], None] = lambda: None) -> None:
        self.base_url = base_url
        self._check = check
        self._credentials = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between two processes of one machine

    def unhealthy(self) -> list[str]:
        """Return the names of unhealthy components; ``Airflow`` while the server does not answer."""
        try:
            response = self._session.get(f"{self.base_url}/api/v2/monitor/health", timeout=HEALTH_TIMEOUT_SECONDS)
            response.raise_for_status()
        except requests.RequestException:
            return ["Airflow"]
        parts = {
            "metadatabase": "",
            "scheduler": "scheduler",
            "dag_processor": "DAG processor",
            "triggerer": "triggerer",
        }
        try:
            report = parse_object(response.content)
            bad = [name or part for part, name in parts.items() if report[part].get("status") != "healthy"]
        except PARSER_ERRORS:
            return ["Airflow"]
        return [f"Airflow's {name}" for name in bad]

    def has_dag(self, dag_id: str) -> bool:
        """Return whether the DAG has been parsed."""
        return self._call("GET", f"/dags/{dag_id}", allowed=404) is not None

    def import_errors(self) -> list[str]:
        """Return the last line of each DAG file's import error, with the line in the use case that caused it."""
        errors = self._call("GET", "/importErrors")["import_errors"]
        return [
            f"{place_in_use_case(error['stack_trace']) or error['filename']}: "
            f"{error['stack_trace'].strip().splitlines()[-1]}"
            for error in errors
        ]

    def unpause(self, dag_id: str) -> None:
        """Unpause the DAG."""
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False}, params={"update_mask": "is_paused"})

    def trigger(
        self,
        dag_id: str,
        run_id: str,
        *,
        conf: Mapping[str, Any],
        interval: tuple[datetime, datetime] | None = None,
    ) -> None:
        """Queue a run.

        Args:
            dag_id: DAG id.
            run_id: Run id of the new run.
            conf: Params of the run.
            interval: Data interval, whose start is the logical date; None for a run without one.
        """
        start, end = (moment.isoformat() for moment in interval) if interval else (None, None)
        body: dict[str, Any] = {"dag_run_id": run_id, "logical_date": start, "conf": dict(conf)}
        if interval:
            body |= {"data_interval_start": start, "data_interval_end": end}
        # 409: an earlier try made the run, and the server was killed before it answered
        self._call("POST", f"/dags/{dag_id}/dagRuns", json=body, allowed=409)

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        """Return the state of a run; None when it does not exist.

        The states are ``queued``, ``running``, ``success`` and ``failed``.
        """
        run = self._call("GET", _run(dag_id, run_id), allowed=404)
        return None if run is None else str(run["state"])

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of a run; programs that have succeeded return their earlier result."""
        self._call("POST", f"{_run(dag_id, run_id)}/clear", json={"dry_run": False, "only_failed": False})

    def tasks(self, dag_id: str, run_id: str) -> list[Task]:
        """Return the tasks of a run."""
        instances = self._pages(f"{_run(dag_id, run_id)}/taskInstances", "task_instances", {})
        return [
            Task(
                task_id=task["task_id"],
                state=task["state"],
                try_number=task["try_number"],
                started=datetime.fromisoformat(task["start_date"]) if task["start_date"] else None,
            )
            for task in instances
        ]

    def last_log_line(self, dag_id: str, run_id: str, task: Task) -> str:
        """Return the error of a task's last attempt; for a killed task, the end of its log."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task.task_id}/logs/{task.try_number}"
        answer = self._call("GET", path, params={"full_content": "true"}, allowed=404) or {"content": []}
        lines = [line if isinstance(line, dict) else {"event": line} for line in answer["content"]]
        lines = _own_lines([line for line in lines if str(line["event"]).strip()])
        if errors := [line for line in lines if line.get("level") in {"error", "critical"}]:
            exceptions = errors[-1].get("error_detail") or [{}]
            return str(exceptions[0].get("exc_value") or errors[-1]["event"]).strip().splitlines()[-1]
        position = f"after the line {_last_line(lines[-1])!r}" if lines else "before it logged anything"
        return f"its process ended without an error, {position}: it was killed or could not start; {_NO_ERROR_FIX}"

    def create_backfill(self, dag_id: str, first: datetime, last: datetime) -> None:
        """Queue the runs with a logical date from ``first`` to ``last``, one at a time; succeeded runs are kept.

        Other runs may be active meanwhile.
        """
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            "reprocess_behavior": "failed",
            "max_active_runs": 1,
        }
        self._call("POST", "/backfills", json=body)

    def latest_backfill(self, dag_id: str) -> dict[str, Any] | None:
        """Return the DAG's latest backfill, the only one that may be open; None when it never had one."""
        params = {"dag_id": dag_id, "order_by": "-id", "limit": 1}
        backfills: list[dict[str, Any]] = self._call("GET", "/backfills", params=params)["backfills"]
        return backfills[0] if backfills else None

    def running(self, dag_id: str) -> list[str]:
        """Return the ids of the DAG's running runs."""
        runs = self._pages(f"/dags/{dag_id}/dagRuns", "dag_runs", {"state": "running"})
        return [str(run["dag_run_id"]) for run in runs]

    def runs_between(self, dag_id: str, first: datetime, last: datetime) -> list[dict[str, Any]]:
        """Return the DAG's runs with a logical date from ``first`` to ``last``, in that order."""
        params = {
            "logical_date_gte": first.isoformat(),
            "logical_date_lte": last.isoformat(),
            "order_by": "logical_date",
        }
        return self._pages(f"/dags/{dag_id}/dagRuns", "dag_runs", params)

    def _pages(self, path: str, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return all entries of a list, which the server answers one page at a time."""
        entries: list[dict[str, Any]] = []
        while True:
            answer = self._call("GET", path, params={**params, "limit": PAGE, "offset": len(entries)})
            entries += answer[name]
            if not answer[name] or len(entries) >= answer["total_entries"]:
                return entries

    def _call(
        self, method: str, path: str, *, json: object = None, params: object = None, allowed: int | None = None
    ) -> Any:
        """Send one request with the token, and retry it while the server is busy or restarting.

        Args:
            method: HTTP method.
            path: Path below ``/api/v2``.
            json: Request body.
            params: Query parameters.
            allowed: An error status for which None is returned.

        Raises:
            UnreachableError: when the server does not answer within ``PATIENCE_SECONDS``.
            ApiError: when it rejects the request.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                response = self._request(method, path, json, params)
            except requests.RequestException as error:
                failure = str(error)
            else:
                if response.status_code == allowed:
                    return None
                if response.status_code < 300:
                    with self._reading_answer():
                        return parse_json(response.content) if response.content else None
                failure = f"status {response.status_code}: {response.text[:300]}"
                if response.status_code < 500:
                    raise ApiError(
                        f"Airflow rejected {method} {path} ({failure})", where=self.base_url, fix="correct the request"
                    )
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"Airflow does not answer ({failure})",
                    where=self.base_url,
                    fix="read var/logs/airflow-api-server.log",
                )
            self._check()
            time.sleep(1.0)

    def _request(self, method: str, path: str, json: object, params: Any) -> requests.Response:
        url = f"{self.base_url}/api/v2{path}"
        if "Authorization" not in self._session.headers:
            self._log_in()
        response = self._session.request(method, url, json=json, params=params, timeout=TIMEOUT_SECONDS)
        if response.status_code == 401:  # the token has expired
            self._log_in()
            response = self._session.request(method, url, json=json, params=params, timeout=TIMEOUT_SECONDS)
        return response

    def _reading_answer(self) -> AbstractContextManager[None]:
        fix = "check in var/logs/airflow-api-server.log which server answers at this address"
        return reading("Airflow's answer", where=self.base_url, fix=fix, error=ApiError)

    def _log_in(self) -> None:
        self._check()
        self._session.headers.pop("Authorization", None)
        response = self._session.post(f"{self.base_url}/auth/token", json=self._credentials, timeout=TIMEOUT_SECONDS)
        response.raise_for_status()
        with self._reading_answer():
            self._session.headers["Authorization"] = f"Bearer {parse_object(response.content)['access_token']}"


def _own_lines(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a log without Airflow's leading list of log files and without group markers."""
    events = [str(line["event"]) for line in lines]
    if events and events[0].startswith("::group::Log message source details"):
        lines = lines[events.index("::endgroup::") + 1 :] if "::endgroup::" in events else []
    return [line for line in lines if not str(line["event"]).startswith("::")]


def _last_line(line: Mapping[str, Any]) -> str:
    return str(line["event"]).strip().splitlines()[-1]


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
