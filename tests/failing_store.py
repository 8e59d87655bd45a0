"""An S3 server (moto) behind a proxy that fails a share of the calls in the ways of a real store.

Run as a program, it prints the port of the proxy and the direct one of the server, and ends with its standard input.
"""

from __future__ import annotations

import http.client
import random
import socket
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAYS = ("500", "503", "dropped before", "dropped after")
"""An error, a request to slow down, a connection that ends before the server sees the call, and one that ends after the
call has taken effect, so that the caller of a commit does not learn that it succeeded."""
ERRORS = {"500": "InternalError", "503": "SlowDown"}
MOST_IN_A_ROW = 6
"""Maximum failures in a row on one path: clients try ten times, and the store should fail, not be unavailable."""


class Fate:
    """Which calls fail, by a seeded choice; commits, which have a precondition, also by themselves.

    Args:
        seed: Of the choice; calls at the same time draw in any order.
        share: Of all calls that fail.
        lost_commits: Share of the conditional writes whose answer is lost beside that.
    """

    def __init__(self, seed: int, share: float, lost_commits: float) -> None:
        self._random, self._share, self._lost_commits = random.Random(seed), share, lost_commits
        self._lock = threading.Lock()
        self._in_a_row: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()

    def __call__(self, path: str, *, conditional: bool) -> str:
        with self._lock:
            way = "answered"
            if self._random.random() < self._share:
                way = self._random.choice(WAYS)
            elif conditional and self._random.random() < self._lost_commits:
                way = "dropped after"
            if self._in_a_row[path] == MOST_IN_A_ROW:
                way = "answered"
            self._in_a_row[path] = 0 if way == "answered" else self._in_a_row[path] + 1
            self.seen[f"{way}{', conditional' if conditional else ''}"] += 1
            return way


def proxy(target: int, fate: Fate) -> ThreadingHTTPServer:  # noqa: C901 - a handler's methods are one closure
    """A proxy on a free port of this machine for the server on port ``target``; not yet serving."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forwarded(self) -> None:
            body = self._body()
            if self.path == "/_seen":
                self._answer(200, [], "\n".join(f"{way} {count}" for way, count in fate.seen.items()).encode())
                return
            way = fate(self.path, conditional=self.headers.get("If-None-Match") == "*")
            if way in ERRORS:
                text = f"<Error><Code>{ERRORS[way]}</Code><Message>by the test's seed</Message></Error>"
                self._answer(int(way), [("Content-Type", "application/xml")], text.encode())
                return
            if way == "dropped before":
                self._drop()
                return
            connection = http.client.HTTPConnection("127.0.0.1", target, timeout=60)
            skipped = {"transfer-encoding", "content-length", "connection", "expect"}
            headers = {k: v for k, v in self.headers.items() if k.lower() not in skipped}
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if way == "dropped after":
                self._drop()
            else:
                self._answer(answer.status, answer.getheaders(), content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forwarded

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(pieces)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            has_length = False
            for name, value in headers:
                if name.lower() not in {"connection", "transfer-encoding"}:
                    has_length |= name.lower() == "content-length"
                    self.send_header(name, value)
            if not has_length:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _drop(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def serve(seed: int, share: float, lost_commits: float) -> None:
    """Start both, say where they are, and wait for the end of standard input."""
    from moto.server import ThreadedMotoServer

    store = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    store.start()
    _, direct = store.get_host_and_port()
    failing = proxy(direct, Fate(seed, share, lost_commits))
    threading.Thread(target=failing.serve_forever, args=(0.02,), daemon=True).start()
    print(failing.server_address[1], direct, flush=True)
    sys.stdin.read()
    store.stop()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
