"""A client of a small HTTP server that answers like Airflow."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from tests.nightjar.local.fake_airflow import FakeAirflow

from nightjar.local import airflow_api, follow
from nightjar.local.airflow_api import AirflowApi


@pytest.fixture
def airflow() -> Iterator[tuple[FakeAirflow, AirflowApi]]:
    """The server's state, and a client of it."""
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


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the client's pauses and its patience."""
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(airflow_api.time, "sleep", lambda _: None)
    monkeypatch.setattr(airflow_api, "PATIENCE_SECONDS", 1.0)
