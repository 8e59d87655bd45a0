"""A small HTTP server's state that answers like Airflow, and runs to follow there."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from nightjar.local.airflow_api import AirflowApi
from nightjar.local.follow import Follower, Request
from nightjar.local.progress import Progress

START = datetime(2013, 4, 1, 6, tzinfo=UTC)

NIGHT = Request(
    title="night 2013-04-01",
    dag_id="d",
    run_id="night__2013-04-01",
    interval=(START, datetime(2013, 4, 2, 6, tzinfo=UTC)),
)


class FakeAirflow:
    """State of the server: its answers, and the requests received."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.tokens = 0
        self.valid = "token1"
        self.busy = 0
        self.states: list[str] = []
        self.run: str | None = None
        self.task_states = {"score": "success"}
        self.import_errors: list[dict[str, str]] = []
        self.has_dag = True
        self.runs: list[dict[str, str]] = []
        self.backfills: list[dict[str, Any]] = []
        self.log: list[Any] = LOG

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, token: str) -> tuple[int, Any]:
        self.asked.append((method, path, body))
        if path == "/auth/token":
            self.tokens += 1
            return (201, {"access_token": f"token{self.tokens}"}) if body["password"] == "right" else (401, {})
        if path == "/api/v2/monitor/health":
            health = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "healthy"}}
            return 200, {**health, "dag_processor": {"status": None}, "triggerer": {"status": "healthy"}}
        if token != f"Bearer {self.valid}":
            return 401, {}
        if self.busy:
            self.busy -= 1
            return 503, {"detail": "database is locked"}
        if path == "/api/v2/backfills" and method == "POST":
            return 200, body
        if path == "/api/v2/backfills":
            return 200, {"backfills": [self.backfills.pop(0)] if self.backfills else []}
        if path == "/api/v2/dags/d/dagRuns" and method == "GET":
            return 200, self._runs(query)
        if path.endswith("/taskInstances"):
            items = [self._task(name, state) for name, state in self.task_states.items()]
            return 200, self._page("task_instances", items, query)
        return self._api(method, path.removeprefix("/api/v2"), body)

    def _runs(self, query: dict[str, str]) -> dict[str, Any]:
        between = [
            run
            for run in self.runs
            if "state" in query or query["logical_date_gte"] <= run["logical_date"] <= query["logical_date_lte"]
        ]
        return self._page("dag_runs", between, query)

    @staticmethod
    def _page(name: str, entries: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        """A page of at most 100, as Airflow's own limit is."""
        begin = int(query.get("offset", 0))
        return {name: entries[begin : begin + 100], "total_entries": len(entries)}

    def _api(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/importErrors":
            return 200, {"import_errors": self.import_errors}
        if path == "/dags/d":
            return (200, {}) if self.has_dag else (404, {})
        if path == "/dags/d/dagRuns" and method == "POST":
            if self.run is not None:
                return 409, {"detail": "there is such a run"}
            self.run = "queued"
            return 200, {}
        if path.endswith("/clear"):
            self.run = "queued"
            return 200, {}
        if path == "/dags/d/dagRuns/night__2013-04-01":
            if self.run is None:
                return 404, {}
            self.run = self.states.pop(0) if self.states else self.run
            return 200, {"state": self.run}
        if "/logs/" in path:
            return 200, {"content": self.log, "continuation_token": None}
        return 422, {"detail": f"unknown {method} {path}"}

    @staticmethod
    def _task(name: str, state: str) -> dict[str, Any]:
        return {"task_id": name, "state": state, "try_number": 1, "start_date": "2013-04-02T06:00:00Z"}


LOG: list[Any] = [
    {"event": "::group::Pre Execute", "level": "info"},
    {
        "event": "Task failed with exception",
        "level": "error",
        "error_detail": [
            {"exc_type": "SourceError", "exc_value": "flights.csv is missing | where: x | how many: 1 | do: land"}
        ],
    },
    {"event": "::endgroup::", "level": "info"},
]


def make_follower(api: AirflowApi, out: io.StringIO | None = None, *, fresh: bool = False) -> Follower:
    return Follower(api, Progress(out or io.StringIO()), lambda: None, fresh=fresh)


def make_run(night: int, state: str = "success", prefix: str = "backfill") -> dict[str, str]:
    moment = (START + timedelta(days=night)).isoformat()
    return {"dag_run_id": f"{prefix}__{night}", "logical_date": moment, "state": state}
