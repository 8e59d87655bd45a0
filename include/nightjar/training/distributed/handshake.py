"""Mutual authentication of the ranks of a job. Standard library only.

Rank 0 sends a random challenge to each connection. A rank answers with its number, its own challenge, and an HMAC of
both under the job's secret; rank 0 answers that challenge. The secret itself is never sent. Time and bytes before
authentication are limited, and rank 0 reads all connections concurrently, so that none blocks another.
"""

from __future__ import annotations

import hmac
import json
import secrets
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from nightjar.protocol.documents import PARSER_ERRORS, parse_object

HANDSHAKE_SECONDS = 5.0
"""Time limit of the authentication."""
MAX_BYTES = 1024
"""Size limit of a message before authentication."""
MAX_UNAUTHENTICATED = 256
"""Limit of unauthenticated connections; one more closes the oldest."""


def proof(secret: str, *parts: object) -> str:
    """Return the HMAC-SHA256 of ``parts`` under the job's secret."""
    return hmac.digest(secret.encode(), json.dumps(parts).encode(), "sha256").hex()


class Reception:
    """Authenticate connecting ranks, on rank 0.

    Args:
        listener: A listening socket.
        secret: The job's secret.
        job: Fingerprint of the job; ranks of another job are rejected.
    """

    def __init__(self, listener: socket.socket, secret: str, job: str) -> None:
        self._secret, self._job = secret, job
        self._listener = listener
        self._pending: dict[socket.socket, _PendingConnection] = {}
        self._selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)

    def admit(self, missing: Sequence[int], deadline: float) -> tuple[int, socket.socket] | None:
        """Wait for one of the ranks ``missing``; return None at ``deadline`` (monotonic seconds)."""
        while (now := time.monotonic()) < deadline:
            for ready, _ in self._selector.select(min(deadline - now, 0.5)):
                if ready.fileobj is self._listener:
                    self._accept()
                    continue
                connection = next((known for known in self._pending if known is ready.fileobj), None)
                if connection is not None and (rank := self._read(connection, missing)):
                    return rank, self._forget(connection)
            for connection, pending in list(self._pending.items()):
                if time.monotonic() > pending.deadline:
                    self._forget(connection).close()
        return None

    def close(self) -> None:
        """Close all unauthenticated connections."""
        for connection in list(self._pending):
            self._forget(connection).close()
        self._selector.close()

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._pending) >= MAX_UNAUTHENTICATED:
                self._forget(next(iter(self._pending))).close()
            connection.setblocking(False)
            self._pending[connection] = pending = _PendingConnection()
            self._selector.register(connection, selectors.EVENT_READ)
            with suppress(OSError):  # a broken connection is dropped when it is read
                connection.send(_line({"challenge": pending.challenge}))

    def _read(self, connection: socket.socket, missing: Sequence[int]) -> int | None:
        """Read from the connection; return its rank once it has authenticated as one of ``missing``."""
        pending = self._pending[connection]
        try:
            piece = connection.recv(MAX_BYTES)
        except OSError:
            piece = b""
        pending.received += piece
        if piece and b"\n" not in pending.received and len(pending.received) <= MAX_BYTES:
            return None
        rank, own_proof = self._check(pending, missing)
        if rank is None:
            self._forget(connection).close()
            return None
        try:
            connection.send(_line({"proof": own_proof}))
        except OSError:
            self._forget(connection).close()
            return None
        connection.setblocking(True)
        return rank

    def _check(self, pending: _PendingConnection, missing: Sequence[int]) -> tuple[int | None, str]:
        """Return the authenticated rank, or None, and rank 0's own proof."""
        hello = read_object(pending.received)
        rank, challenge = hello.get("rank"), hello.get("challenge")
        expected = proof(self._secret, "rank", pending.challenge, self._job, rank, challenge)
        received = hello.get("proof")
        is_authentic = isinstance(received, str) and hmac.compare_digest(received.encode(), expected.encode())
        if not is_authentic or not isinstance(rank, int) or rank not in missing:
            return None, ""
        return rank, proof(self._secret, "first rank", challenge)

    def _forget(self, connection: socket.socket) -> socket.socket:
        del self._pending[connection]
        self._selector.unregister(connection)
        return connection


class _PendingConnection:
    """State of an unauthenticated connection."""

    def __init__(self) -> None:
        self.challenge = secrets.token_hex(16)
        self.deadline = time.monotonic() + HANDSHAKE_SECONDS
        self.received = b""


def authenticate(connection: socket.socket, secret: str, job: str, rank: int) -> bool:
    """Authenticate as ``rank`` of ``job`` with rank 0; return whether both sides have proved the secret.

    Raises:
        OSError: when the connection breaks, or takes longer than :data:`HANDSHAKE_SECONDS`.
    """
    deadline = time.monotonic() + HANDSHAKE_SECONDS
    rank_0_challenge = read_object(_receive_line(connection, deadline)).get("challenge")
    challenge = secrets.token_hex(16)
    own_proof = proof(secret, "rank", rank_0_challenge, job, rank, challenge)
    connection.sendall(_line({"rank": rank, "challenge": challenge, "proof": own_proof}))
    received = read_object(_receive_line(connection, deadline)).get("proof")
    expected = proof(secret, "first rank", challenge)
    return isinstance(received, str) and hmac.compare_digest(received.encode(), expected.encode())


def _receive_line(connection: socket.socket, deadline: float) -> bytes:
    """Read one short line byte by byte; the bytes after it stay in the socket."""
    line = b""
    while not line.endswith(b"\n"):
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        byte = connection.recv(1)
        line += byte
        if not byte or len(line) > MAX_BYTES:
            raise ConnectionError("rank 0 did not authenticate")
    return line


def read_object(line: bytes) -> Mapping[str, Any]:
    """Parse a line as a JSON object; return an empty one when it is not."""
    try:
        return parse_object(line)
    except PARSER_ERRORS:
        return {}


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
