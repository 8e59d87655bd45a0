"""How ranks prove to each other that they belong to one job, and what a stranger on the port can do: nothing.

Rank 0 sends a random challenge to whoever connects. A rank answers with its number, a challenge of its own, and an HMAC
of all of it under the job's secret; rank 0 answers that challenge. The secret itself is never sent. A connection gets a
few seconds and a few hundred bytes for it; rank 0 reads all connections at once, so that none holds up another.
Standard library only.
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
"""How long a connection may take to prove itself."""
MAX_BYTES = 1024
"""Of a message before that."""
MAX_STRANGERS = 256
"""Connections that have not proved themselves; one more closes the oldest."""


def proof(secret: str, *parts: object) -> str:
    """Return the HMAC-SHA256 of ``parts`` under the job's secret."""
    return hmac.digest(secret.encode(), json.dumps(parts).encode(), "sha256").hex()


class Reception:
    """Rank 0's side: lets in the ranks that prove themselves.

    Args:
        listener: A listening socket.
        secret: The job's.
        job: What is trained; ranks of another job are refused.
    """

    def __init__(self, listener: socket.socket, secret: str, job: str) -> None:
        self._secret, self._job = secret, job
        self._listener = listener
        self._strangers: dict[socket.socket, _Stranger] = {}
        self._selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)

    def admit(self, missing: Sequence[int], deadline: float) -> tuple[int, socket.socket] | None:
        """Wait for one of the ranks ``missing``; None when there is none until ``deadline`` (monotonic seconds)."""
        while (now := time.monotonic()) < deadline:
            for ready, _ in self._selector.select(min(deadline - now, 0.5)):
                if ready.fileobj is self._listener:
                    self._accept()
                    continue
                connection = next((one for one in self._strangers if one is ready.fileobj), None)
                if connection is not None and (rank := self._read(connection, missing)):
                    return rank, self._let_go(connection)
            for connection, stranger in list(self._strangers.items()):
                if time.monotonic() > stranger.until:
                    self._let_go(connection).close()
        return None

    def close(self) -> None:
        """Close what has not proved itself."""
        for connection in list(self._strangers):
            self._let_go(connection).close()
        self._selector.close()

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._strangers) >= MAX_STRANGERS:
                self._let_go(next(iter(self._strangers))).close()
            connection.setblocking(False)
            self._strangers[connection] = stranger = _Stranger()
            self._selector.register(connection, selectors.EVENT_READ)
            with suppress(OSError):  # one that cannot be written to will not prove itself either
                connection.send(_line({"challenge": stranger.challenge}))

    def _read(self, connection: socket.socket, missing: Sequence[int]) -> int | None:
        """Take what the connection sends; its rank once it has proved to be one of ``missing``."""
        stranger = self._strangers[connection]
        try:
            piece = connection.recv(MAX_BYTES)
        except OSError:
            piece = b""
        stranger.received += piece
        if piece and b"\n" not in stranger.received and len(stranger.received) <= MAX_BYTES:
            return None
        rank, answer = self._judge(stranger, missing)
        if rank is None:
            self._let_go(connection).close()
            return None
        try:
            connection.send(_line({"proof": answer}))
        except OSError:
            self._let_go(connection).close()
            return None
        connection.setblocking(True)
        return rank

    def _judge(self, stranger: _Stranger, missing: Sequence[int]) -> tuple[int | None, str]:
        """The rank that the bytes prove, and what proves the first rank to it."""
        hello = read_object(stranger.received)
        rank, challenge = hello.get("rank"), hello.get("challenge")
        expected = proof(self._secret, "rank", stranger.challenge, self._job, rank, challenge)
        given = hello.get("proof")
        genuine = isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
        if not genuine or not isinstance(rank, int) or rank not in missing:
            return None, ""
        return rank, proof(self._secret, "first rank", challenge)

    def _let_go(self, connection: socket.socket) -> socket.socket:
        del self._strangers[connection]
        self._selector.unregister(connection)
        return connection


class _Stranger:
    """A connection that has not proved itself."""

    def __init__(self) -> None:
        self.challenge = secrets.token_hex(16)
        self.until = time.monotonic() + HANDSHAKE_SECONDS
        self.received = b""


def introduce(connection: socket.socket, secret: str, job: str, rank: int) -> bool:
    """Prove to the first rank that this is ``rank`` of ``job``; whether it took it, and proved itself too.

    Raises:
        OSError: when the connection breaks, or takes longer than :data:`HANDSHAKE_SECONDS`.
    """
    deadline = time.monotonic() + HANDSHAKE_SECONDS
    given = read_object(_receive_line(connection, deadline)).get("challenge")
    mine = secrets.token_hex(16)
    shown = proof(secret, "rank", given, job, rank, mine)
    connection.sendall(_line({"rank": rank, "challenge": mine, "proof": shown}))
    answer = read_object(_receive_line(connection, deadline)).get("proof")
    expected = proof(secret, "first rank", mine)
    return isinstance(answer, str) and hmac.compare_digest(answer.encode(), expected.encode())


def _receive_line(connection: socket.socket, deadline: float) -> bytes:
    """One short line, byte by byte: what follows it is for the next reader."""
    line = b""
    while not line.endswith(b"\n"):
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        byte = connection.recv(1)
        line += byte
        if not byte or len(line) > MAX_BYTES:
            raise ConnectionError("the first rank did not introduce itself")
    return line


def read_object(line: bytes) -> Mapping[str, Any]:
    """The JSON object of a line; an empty one when it is anything else."""
    try:
        return parse_object(line)
    except PARSER_ERRORS:
        return {}


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
