"""A command that is run while a run starts waits for its servers."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nightjar.local import servers
from nightjar.local.paths import Paths
from nightjar.local.ports import HOST, Ports, listen, port_of
from nightjar.local.progress import Progress
from nightjar.local.session import any_servers
from nightjar.local.state import RunLock, RunState
from nightjar.protocol.errors import UnreachableError


class Healthy(BaseHTTPRequestHandler):
    """Answers like running Airflow and MLflow."""

    def do_GET(self) -> None:
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        data = json.dumps({part: {"status": "healthy"} for part in parts}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[tuple[RunLock, Paths, int]]:
    """A run that has published its addresses, where no server listens yet."""
    paths = Paths(tmp_path)
    with listen(18080) as listener:
        port = port_of(listener)
    lock = RunLock(paths.run_file)
    assert lock.acquire()
    ports = Ports(airflow=port, mlflow=port)
    lock.publish(RunState(pid=os.getpid(), ports=ports, sockets=str(tmp_path)))
    yield lock, paths, port
    if paths.run_file.exists():
        lock.release()


def test_it_waits_until_they_are_healthy(starting: tuple[RunLock, Paths, int]) -> None:
    _, paths, port = starting
    out = io.StringIO()

    def listen() -> None:
        time.sleep(1)
        up.append(ThreadingHTTPServer((HOST, port), Healthy))
        up[0].serve_forever()

    up: list[ThreadingHTTPServer] = []
    threading.Thread(target=listen, daemon=True).start()
    with any_servers(paths, Progress(out)) as session:
        assert session.api.unhealthy() == []
    assert "starting MLflow, Airflow" in out.getvalue()
    up[0].shutdown()
    up[0].server_close()


def test_a_start_that_breaks_off_is_said(starting: tuple[RunLock, Paths, int], monkeypatch: pytest.MonkeyPatch) -> None:
    lock, paths, _ = starting
    monkeypatch.setattr(servers, "START_SECONDS", 30)
    threading.Timer(1, lock.release).start()
    with (
        pytest.raises(UnreachableError, match="the run that started the servers has ended"),
        any_servers(paths, Progress(io.StringIO())),
    ):
        pass
