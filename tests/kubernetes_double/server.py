"""HTTP of the API server: lists, watches as chunked JSON lines, followed logs, and faults on demand."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from kubernetes_double.store import Json, Refused

if TYPE_CHECKING:
    from kubernetes_double.cluster import Cluster

PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1)/namespaces/([^/]+)/(jobs|pods|services|secrets|events)(?:/([^/]+))?(/log)?$"
)


@dataclass
class Fault:
    """A disturbance of the next ``times`` requests that match.

    Attributes:
        match: Words that all occur in ``METHOD path?query``.
        status: HTTP status of the answer; 0 cuts the connection instead, ``after_work`` says whether the request is
            obeyed before.
    """

    match: tuple[str, ...]
    status: int
    message: str = "disturbed"
    retry_after: int | None = None
    times: int = 1
    after_work: bool = False


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cluster = cluster
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.streams_cut = 0
        self.back_at = 0.0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def go_away(self, seconds: float) -> None:
        """Stop answering for a while, and break open streams."""
        self.back_at = monotonic() + seconds
        self.cut_streams()

    def cut_streams(self) -> None:
        """Break every open watch and log stream."""
        self.streams_cut += 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Suppress request logs."""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def _answer(self, work: Callable[[], None]) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = f"{self.command} {self.path}"
        self.server.requests.append(line)
        if self.server.back_at > monotonic():
            return self._cut()
        if self.path == "/token":
            return self._send_text(self.server.cluster.credentials.issue())
        fault = next((f for f in self.server.faults if f.times and all(word in line for word in f.match)), None)
        if fault is not None:
            fault.times -= 1
            if fault.after_work:
                with suppress(Refused):
                    self.server.cluster.create(*self._parsed()[:2], json.loads(self.body))
            if not fault.status:
                self._cut()
                return None
            return self._refuse(Refused(fault.status, "Disturbed", fault.message), fault.retry_after)
        try:
            kind, namespace, *_ = self._parsed()
            cluster, header = self.server.cluster, self.headers.get("Authorization", "")
            cluster.credentials.check(header, self.command, kind, namespace, cluster.namespaces)
            work()
        except Refused as refusal:
            self._refuse(refusal)

    def _parsed(self) -> tuple[str, str, str | None, bool]:
        found = PATH.match(urlsplit(self.path).path)
        if not found:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        namespace, kind, name, log = found.groups()
        return kind, namespace, name, bool(log)

    def _query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def _post(self) -> None:
        kind, namespace, *_ = self._parsed()
        self._send(201, self.server.cluster.create(kind, namespace, json.loads(self.body)))

    def _delete(self) -> None:
        kind, namespace, name, _ = self._parsed()
        self._send(200, self.server.cluster.delete(kind, namespace, str(name)))

    def _get(self) -> None:
        kind, namespace, name, log = self._parsed()
        query, store = self._query(), self.server.cluster.store
        fits = _selector(query, namespace)
        if log:
            self._stream(self.server.cluster.kubelet.log(store.read("pods", namespace, str(name)), query))
        elif name:
            self._send(200, store.read(kind, namespace, name))
        elif query.get("watch") == "true":
            self._stream(self._watch(kind, query, fits))
        else:
            with store.changed:
                items, version = store.list(kind, fits), store.version
            self._send(200, {"kind": "List", "metadata": {"resourceVersion": version}, "items": items})

    def _watch(self, kind: str, query: dict[str, str], fits: Callable[[Json], bool]) -> Iterator[bytes | None]:
        store, version = self.server.cluster.store, int(query["resourceVersion"])
        end = monotonic() + float(query.get("timeoutSeconds", 60))
        while monotonic() < end:
            try:
                for later, what, thing in store.events_after(kind, version, fits):
                    version = later
                    yield json.dumps({"type": what, "object": thing}).encode() + b"\n"
            except Refused as refusal:
                yield json.dumps({"type": "ERROR", "object": refusal.body()}).encode() + b"\n"
                return
            yield None
            with store.changed:
                store.changed.wait(0.1)
        bookmark = {"metadata": {"resourceVersion": store.version}}
        yield json.dumps({"type": "BOOKMARK", "object": bookmark}).encode() + b"\n"

    def _stream(self, pieces: Iterator[bytes | None]) -> None:
        """Send chunks; None marks an idle interval, at which a broken connection is noticed."""
        cut = self.server.streams_cut
        first = next(pieces, b"")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in _chain(first, pieces):
            if self.server.streams_cut != cut:
                self.wfile.write(b"40\r\n{half a line")
                return self._cut()
            if piece:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _cut(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, refusal: Refused, retry_after: int | None = None) -> None:
        self._send(refusal.status, refusal.body(), retry_after)

    def _send_text(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def _send(self, status: int, document: Json, retry_after: int | None = None) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(data)


def _chain(first: bytes | None, rest: Iterator[bytes | None]) -> Iterator[bytes | None]:
    yield first
    yield from rest


def _selector(query: dict[str, str], namespace: str) -> Callable[[Json], bool]:
    labels = dict(part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part)
    wanted = dict(part.split("=", 1) for part in query.get("fieldSelector", "").split(",") if part)

    def fits(thing: Json) -> bool:
        metadata = thing["metadata"]
        return (
            metadata["namespace"] == namespace
            and all(metadata.get("labels", {}).get(name) == value for name, value in labels.items())
            and all(_field(thing, path) == value for path, value in wanted.items())
        )

    return fits


def _field(thing: Json, path: str) -> Any:
    for name in path.split("."):
        thing = thing.get(name, {})
    return thing
