"""An unreachable registry is an error within seconds."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from nightjar.protocol.errors import ConfigurationError, ModelError, UnreachableError
from nightjar.registry import models, rest
from nightjar.training.distributed.launch import free_port

ANSWERS = {
    "/api/2.0/mlflow/ok": (200, json.dumps({"a": 1})),
    "/api/2.0/mlflow/shaky": (200, json.dumps({"a": 2})),
    "/api/2.0/mlflow/absent": (404, json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"})),
    "/api/2.0/mlflow/forbidden": (403, json.dumps({"error_code": "PERMISSION_DENIED", "message": "not you"})),
    "/api/2.0/mlflow/broken": (500, "oops"),
    "/api/2.0/mlflow/html": (200, "<html>"),
    "/api/2.0/mlflow/wrong": (404, "<html>nothing here</html>"),
}


class _Handler(BaseHTTPRequestHandler):
    seen: list[str | None] = []  # noqa: RUF012 (a test's notebook)
    asked: Counter[str] = Counter()  # noqa: RUF012

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        first, self.asked[path] = not self.asked[path], self.asked[path] + 1
        code, text = (503, "busy") if first and path.endswith("/shaky") else ANSWERS[path]
        self.seen.append(self.headers.get("Authorization"))
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = HTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "PAUSES_SECONDS", (0.01, 0.01))


def test_get_is_retried_and_post_is_not(server: str) -> None:
    assert rest.call(server, "GET", "shaky", {}) == {"a": 2}
    before = _Handler.asked["/api/2.0/mlflow/broken"]
    with pytest.raises(UnreachableError):
        rest.call(server, "GET", "broken", {})
    assert _Handler.asked["/api/2.0/mlflow/broken"] == before + 3
    with pytest.raises(UnreachableError, match="501"):  # the server knows no POST
        rest.call(server, "POST", "broken", {})
    assert _Handler.asked["/api/2.0/mlflow/broken"] == before + 3


def test_answer_is_returned_and_missing_resource_is_none(server: str) -> None:
    assert rest.call(server, "GET", "ok", {"x": "y"}) == {"a": 1}
    assert rest.call(server, "GET", "absent", {}) is None


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("forbidden", ModelError, r"refused \(403\): not you"),
        ("wrong", ModelError, r"refused \(404\)"),
        ("broken", UnreachableError, "500"),
        ("html", UnreachableError, "does not answer"),
    ],
)
def test_other_answers_are_errors(server: str, path: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        rest.call(server, "GET", path, {})


def test_credentials_are_sent(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "u")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p")
    rest.call(server, "GET", "ok", {})
    assert _Handler.seen[-1] == "Basic dTpw"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    rest.call(server, "GET", "ok", {})
    assert _Handler.seen[-1] == "Bearer t"


def test_a_refused_connection_is_unreachable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_LAKE", "/nowhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    for call in (lambda: models.champion("x"), lambda: models.resolve("x"), lambda: models.resolve("x", "3")):
        with pytest.raises(UnreachableError, match="MLflow does not answer") as caught:
            call()
        assert "MLFLOW_TRACKING_URI" in caught.value.fix
    assert time.monotonic() - started < 3


def test_a_silent_server_is_unreachable_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "TIMEOUT_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(UnreachableError):
            rest.call(f"http://127.0.0.1:{silent.getsockname()[1]}", "GET", "ok", {})


def test_invalid_server_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is not the address of an MLflow server"):
        rest.call("file:///etc", "GET", "passwd", {})
