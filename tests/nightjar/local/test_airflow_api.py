"""The REST client and the follower against a small HTTP server that answers like Airflow."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

import use_cases
from nightjar.local import airflow_api, follow
from nightjar.local.airflow_api import AirflowApi, ApiError, Task
from nightjar.local.follow import Follower, Request, RunFailedError, describe
from nightjar.local.progress import Progress
from nightjar.protocol.errors import UnreachableError

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


@pytest.fixture
def airflow() -> Iterator[tuple[FakeAirflow, AirflowApi]]:
    fake = FakeAirflow()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            status, answer = fake.answer(
                self.command,
                unquote(url.path),
                dict(parse_qsl(url.query)),
                json.loads(body) if body else None,
                self.headers.get("Authorization", ""),
            )
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield fake, AirflowApi(f"http://127.0.0.1:{server.server_port}", "admin", "right")
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(airflow_api.time, "sleep", lambda _: None)
    monkeypatch.setattr(airflow_api, "PATIENCE_SECONDS", 1.0)


def follower(api: AirflowApi, out: io.StringIO | None = None, *, fresh: bool = False) -> Follower:
    return Follower(api, Progress(out or io.StringIO()), lambda: None, fresh=fresh)


def test_a_token_is_fetched_once_and_again_when_it_has_expired(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    assert api.has_dag("d")
    assert api.has_dag("d")
    assert fake.tokens == 1
    fake.valid = "token2"
    assert api.has_dag("d")
    assert fake.tokens == 2


def test_a_busy_server_is_asked_again_and_a_refusal_is_not(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.busy = 3
    assert api.has_dag("d")
    fake.busy = 10**9
    with pytest.raises(UnreachableError, match="database is locked"):
        api.has_dag("d")
    fake.busy = 0
    with pytest.raises(ApiError, match="status 422"):
        api._call("GET", "/nonsense")


def test_a_server_that_is_not_there_is_unreachable_and_unhealthy() -> None:
    api = AirflowApi("http://127.0.0.1:9", "admin", "right")
    assert api.unhealthy() == ["Airflow"]
    with pytest.raises(UnreachableError, match="does not answer"):
        api.has_dag("d")


def test_the_components_that_are_not_healthy_are_named(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    assert airflow[1].unhealthy() == ["Airflow's DAG processor"]


def test_a_new_run_is_triggered_with_its_interval_and_followed(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.states = ["running", "success"]
    assert follower(api).ensure(NIGHT)
    triggered = next(body for method, path, body in fake.asked if method == "POST" and path.endswith("/dagRuns"))
    assert triggered == {
        "dag_run_id": "night__2013-04-01",
        "logical_date": "2013-04-01T06:00:00+00:00",
        "data_interval_start": "2013-04-01T06:00:00+00:00",
        "data_interval_end": "2013-04-02T06:00:00+00:00",
        "conf": {},
    }


def test_a_run_that_succeeded_is_left_alone_unless_it_is_wanted_again(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run = "success"
    assert not follower(api).ensure(NIGHT)
    assert not [path for _, path, _ in fake.asked if path.endswith("/clear")]
    fake.states = ["success", "running", "success"]
    assert follower(api).ensure(NIGHT, again=True)
    assert [body for _, path, body in fake.asked if path.endswith("/clear")] == [
        {"dry_run": False, "only_failed": False}
    ]


def test_a_failed_run_is_cleared_and_one_that_goes_on_is_only_followed(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run, fake.states = "failed", ["failed", "running", "success"]
    assert follower(api).ensure(NIGHT)
    assert [path for _, path, _ in fake.asked if path.endswith("/clear")]
    fake.asked.clear()
    fake.run, fake.states = "running", ["running", "success"]
    assert follower(api).ensure(NIGHT)
    assert not [path for method, path, _ in fake.asked if method == "POST" and path != "/auth/token"]


def test_a_run_that_was_cut_off_with_its_servers_is_cleared(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run, fake.states = "running", ["running", "running", "success"]
    assert follower(api, fresh=True).ensure(NIGHT)
    assert len([path for _, path, _ in fake.asked if path.endswith("/clear")]) == 1


def a_run(night: int, state: str = "success", prefix: str = "backfill") -> dict[str, str]:
    moment = (START + timedelta(days=night)).isoformat()
    return {"dag_run_id": f"{prefix}__{night}", "logical_date": moment, "state": state}


@pytest.mark.parametrize("prefix", ["backfill", "scheduled"])
def test_a_night_that_another_run_has_made_is_found_under_its_id(
    airflow: tuple[FakeAirflow, AirflowApi], prefix: str
) -> None:
    fake, api = airflow
    assert follower(api).find(NIGHT) == NIGHT
    fake.runs = [a_run(-1, prefix=prefix), a_run(0, prefix=prefix), a_run(1, prefix=prefix)]
    assert follower(api).find(NIGHT) == replace(NIGHT, run_id=f"{prefix}__0")
    without_moment = Request(title="history", dag_id="d", run_id="history")
    assert follower(api).find(without_moment) == without_moment


def test_runs_are_read_page_by_page(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.runs = [a_run(night) for night in range(250)]
    found = api.runs_between("d", START, START + timedelta(days=229))
    assert [run["dag_run_id"] for run in found] == [f"backfill__{night}" for night in range(230)]


def test_a_backfill_is_asked_for_again_while_the_database_is_locked(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.busy = 2
    api.create_backfill("d", START, START + timedelta(days=1))
    asked = [body for method, path, body in fake.asked if (method, path) == ("POST", "/api/v2/backfills")]
    assert len(asked) == 3
    assert asked[-1] == {
        "dag_id": "d",
        "from_date": "2013-04-01T06:00:00+00:00",
        "to_date": "2013-04-02T06:00:00+00:00",
        "reprocess_behavior": "failed",
        "max_active_runs": 1,
    }


def test_a_run_that_was_made_by_a_request_without_an_answer_is_followed(
    airflow: tuple[FakeAirflow, AirflowApi],
) -> None:
    _, api = airflow
    api.trigger("d", "night__2013-04-01", conf={})
    api.trigger("d", "night__2013-04-01", conf={})
    assert api.run_state("d", "night__2013-04-01") == "queued"


def test_no_password_is_sent_to_a_server_that_is_not_ours(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, ours = airflow

    def check() -> None:
        raise UnreachableError("the run that started the servers has ended", where="run.json", fix="again")

    api = AirflowApi(ours.base_url, "admin", "right", check)
    with pytest.raises(UnreachableError, match="the run that started the servers has ended"):
        api.has_dag("d")
    assert fake.asked == []
    assert fake.tokens == 0


def test_a_backfill_is_over_when_it_is_complete_and_its_runs_have_ended(
    airflow: tuple[FakeAirflow, AirflowApi],
) -> None:
    fake, api = airflow
    ends = START, START + timedelta(days=1)
    fake.backfills = [{"completed_at": None}, {"completed_at": None}, {"completed_at": "2026-01-01T00:00:00Z"}]
    fake.runs = [a_run(0), a_run(1, "failed"), a_run(2, "running")]
    assert follower(api).wait_backfill("d", *ends) == fake.runs[:2]
    assert fake.backfills == []


def test_only_runs_of_the_range_that_were_cut_off_are_taken_up(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.runs = [a_run(0), a_run(1, "running"), a_run(2, "queued"), a_run(3, "running")]
    ends = START, START + timedelta(days=2)
    follower(api).take_up("d", *ends)
    assert not [path for _, path, _ in fake.asked if path.endswith("/clear")]
    follower(api, fresh=True).take_up("d", *ends)
    assert [path for _, path, _ in fake.asked if path.endswith("/clear")] == [
        "/api/v2/dags/d/dagRuns/backfill__1/clear"
    ]


def test_all_tasks_and_running_runs_are_read_page_by_page(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.task_states = {f"tune~{number}": "success" for number in range(250)}
    assert [task.task_id for task in api.tasks("d", "night__2013-04-01")] == list(fake.task_states)
    fake.runs = [a_run(day, "running") for day in range(130)]
    assert len(api.running("d")) == 130


def test_a_failure_ends_with_the_failing_tasks_last_log_line(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run, fake.states, fake.task_states = "running", ["failed"], {"land": "success", "ingest": "failed"}
    with pytest.raises(RunFailedError) as error:
        follower(api).wait(NIGHT)
    assert str(error.value) == (
        "night 2013-04-01 failed in task ingest: flights.csv is missing | where: x | how many: 1 | do: land"
    )


SOURCES: list[dict[str, Any] | str] = [
    {"event": "::group::Log message source details", "sources": ["/logs/attempt=1.log"]},
    {"event": "/logs/dag_id=d/run_id=r/task_id=ingest/attempt=1.log"},
    {"event": "Could not read served logs: 404 Not Found"},
    {"event": "::endgroup::"},
]
KILLED = (
    "its process ended without an error, {}: it was killed or could not start; check memory and disk; "
    "read var/logs/airflow-scheduler.log"
)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (SOURCES, KILLED.format("before it logged anything")),
        (SOURCES[:2], KILLED.format("before it logged anything")),
        ([line["event"] for line in SOURCES if isinstance(line, dict)], KILLED.format("before it logged anything")),
        ([], KILLED.format("before it logged anything")),
        ([*SOURCES, {"event": "::group::Pre Execute"}], KILLED.format("before it logged anything")),
        ([*SOURCES, {"event": "12 files", "level": "info"}], KILLED.format("after the line '12 files'")),
        (
            [*SOURCES, {"event": "no such bucket", "level": "error"}, {"event": "stopping", "level": "info"}],
            "no such bucket",
        ),
        ([*SOURCES, *LOG], LOG[1]["error_detail"][0]["exc_value"]),
    ],
)
def test_the_reason_of_a_failure_is_never_where_its_log_lies(
    log: list[Any], reason: str, airflow: tuple[FakeAirflow, AirflowApi]
) -> None:
    fake, api = airflow
    fake.log = log
    task = Task(task_id="ingest", state="failed", try_number=1, started=None)
    assert api.last_log_line("d", "r", task) == reason


def test_an_import_error_names_the_line_of_the_use_case(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    declared = Path(use_cases.__file__).parent / "churn" / "use_case.py"
    trace = (
        f'Traceback:\n  File "/dags/churn.py", line 9\n  File "{declared}", line 12, in <module>\nNameError: Gatte\n'
    )
    fake.import_errors = [{"filename": "churn.py", "stack_trace": trace}]
    assert api.import_errors() == ["use_cases/churn/use_case.py:12: NameError: Gatte"]


def test_a_task_that_will_be_tried_again_says_why_once(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.run, fake.states, fake.task_states = "running", ["running", "running", "success"], {"ingest": "up_for_retry"}
    out = io.StringIO()
    follower(api, out).wait(NIGHT)
    assert out.getvalue().count("ingest failed and will be retried: flights.csv is missing") == 1


def test_a_dag_that_cannot_be_imported_is_said_at_once(airflow: tuple[FakeAirflow, AirflowApi]) -> None:
    fake, api = airflow
    fake.has_dag = False
    fake.import_errors = [
        {"filename": "flight_delay.py", "stack_trace": "Traceback\n  …\nImportError: no module named x\n"}
    ]
    with pytest.raises(UnreachableError, match=r"no DAG d: flight_delay.py: ImportError: no module named x"):
        follower(api).wait_parsed(("d",))


def test_what_runs_is_described_with_its_seconds() -> None:
    tasks = [
        Task(task_id="land", state="success", try_number=1, started=START),
        Task(task_id="score", state="running", try_number=1, started=START),
        Task(task_id="stop_spark", state=None, try_number=0, started=None),
    ]
    assert describe("night", tasks, START.replace(second=12)) == ("night: score", "12 s, 1 of 3 tasks done")
    assert describe("night", tasks[:1], START) == ("night: between tasks", "1 of 1 tasks done")
