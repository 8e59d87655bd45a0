"""Where the ranks of a training meet: who is missing has a name, and who dies is noticed.

XGBoost's tracker cannot say which rank never came, and binds its port without ``SO_REUSEADDR``, so that a second try
within a minute fails. Ranks therefore meet here, on ``MASTER_ADDR:MASTER_PORT``, exchange small JSON values in turn,
and keep the connection open as a sign of life. Who belongs to the job is proved with its secret
(:mod:`nightjar.training.distributed.handshake`). Standard library only.
"""

from __future__ import annotations

import json
import queue
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from nightjar.protocol.errors import ConfigurationError, LostRankError, NightjarError, TrainingError
from nightjar.training.distributed.handshake import Reception, introduce, read_object

SECRET = "NIGHTJAR_RENDEZVOUS_SECRET"  # noqa: S105 (its name)
"""Environment variable: the secret that the ranks of one job share, made by their launcher."""
MAX_MESSAGE = 64 << 20
"""Bytes of a message; the largest are the profiles of a wide table."""
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class LaunchContract:
    """A rank's environment, as torchrun, an Indexed Job or
    :class:`nightjar.training.distributed.launch.LocalRanks` sets it."""

    rank: int
    world_size: int
    master_addr: str
    master_port: int
    local_rank: int = 0
    secret: str = field(default="", repr=False)

    @property
    def ranks_here(self) -> int:
        """Ranks that share this machine's memory, as far as the contract tells."""
        return self.world_size if self.master_addr in ("127.0.0.1", "localhost") else 1

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> LaunchContract:
        """Read ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``, ``MASTER_PORT`` and, where it is set, ``LOCAL_RANK``.

        Of more than one rank it wants :data:`SECRET` too.

        Raises:
            ConfigurationError: naming the variable that is missing or impossible.
        """
        try:
            contract = cls(
                rank=int(environ["RANK"]),
                world_size=int(environ["WORLD_SIZE"]),
                master_addr=environ["MASTER_ADDR"],
                master_port=int(environ["MASTER_PORT"]),
                local_rank=int(environ.get("LOCAL_RANK", "0")),
                secret=environ[SECRET] if int(environ["WORLD_SIZE"]) > 1 else "",
            )
        except (KeyError, ValueError) as error:
            raise ConfigurationError(
                f"the launch contract is not complete ({error})",
                where=f"RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, {SECRET}",
                fix="start the program through its launcher: the Airflow task, or torchrun's environment",
            ) from error
        if not 0 <= contract.rank < contract.world_size:
            raise ConfigurationError(
                f"RANK {contract.rank} is not within WORLD_SIZE {contract.world_size}",
                where="RANK",
                fix="number the ranks from 0 to WORLD_SIZE - 1",
            )
        return contract


class _Peer:
    """A connection to another rank: JSON lines out, a queue of JSON values in. A lost connection is a value too."""

    def __init__(self, connection: socket.socket, timeout_seconds: float) -> None:
        # sending alone: a peer may compute for hours without a word, but reads at once
        limit = struct.pack("ll", *divmod(round(timeout_seconds * 1_000_000), 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._connection = connection
        self.received: queue.Queue[dict[str, Any]] = queue.Queue()

    def start(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        self._connection.close()

    def _read(self) -> None:
        with suppress(OSError), self._connection.makefile("rb") as lines:
            while (line := lines.readline(MAX_MESSAGE)) and (message := read_object(line)):
                self.received.put(dict(message))
        self.received.put({"lost": True})


class Group:
    """The ranks of one training, as one of them sees them. Rank 0 knows every rank, the others know rank 0.

    Args:
        contract: Who this rank is.
        job: What is trained (the spec's fingerprint): ranks of another job are refused.
        timeout_seconds: How long to wait for a rank, at the meeting and at every exchange.

    Raises:
        TrainingError: naming the ranks that never came.
    """

    def __init__(self, contract: LaunchContract, job: str, *, timeout_seconds: float) -> None:
        self.contract = contract
        self._timeout = timeout_seconds
        self._where = f"{contract.master_addr}:{contract.master_port}"
        self._peers: dict[int, _Peer] = self._gather(job) if contract.rank == 0 else {0: self._connect(job)}
        for peer in self._peers.values():
            peer.start()

    def exchange(self, value: Any) -> list[Any]:
        """Give ``value`` (JSON) and receive every rank's, by rank. All ranks call it, in the same order.

        Raises:
            TrainingError: naming the rank that failed, died or did not answer in time.
        """
        if self.contract.rank == 0:
            values = [value, *(self._receive(rank) for rank in sorted(self._peers))]
            for peer in self._peers.values():
                peer.send({"value": values})
            return values
        self._send_to(0, {"value": value})
        received: list[Any] = self._receive(0)
        return received

    def fail(self, error: BaseException) -> None:
        """Tell the others why this rank gives up, as far as they still listen."""
        self._send_error(self._peers, error)

    def lost_rank(self, timeout_seconds: float = 0.0) -> TrainingError | None:
        """The error of a rank that failed or died while this one computed, where there is one."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            for rank, peer in self._peers.items():
                if not peer.received.empty():
                    message = peer.received.get()
                    peer.received.put(message)  # whoever asks next must learn of it too
                    return self._error(rank, message)
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)

    def close(self) -> None:
        """Let go of the connections."""
        for peer in self._peers.values():
            peer.close()

    def _gather(self, job: str) -> dict[int, _Peer]:
        """Rank 0: wait for every other rank."""
        peers: dict[int, _Peer] = {}
        deadline = time.monotonic() + self._timeout
        expected = set(range(1, self.contract.world_size))
        with self._listen() as listener, closing(Reception(listener, self.contract.secret, job)) as reception:
            while missing := sorted(expected - set(peers)):
                admitted = reception.admit(missing, deadline)
                if admitted is None:
                    error = self._missing(missing)
                    self._send_error(peers, error)
                    raise error
                rank, connection = admitted
                peers[rank] = _Peer(connection, self._timeout)
        return peers

    @staticmethod
    def _send_error(peers: Mapping[int, _Peer], error: BaseException) -> None:
        what = error.what if isinstance(error, NightjarError) else f"{type(error).__name__}: {error}"
        for peer in peers.values():
            with suppress(OSError):
                peer.send({"error": what[:2000]})

    def _listen(self) -> socket.socket:
        listener = socket.socket(self._family(), socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.contract.master_addr, self.contract.master_port))
        except OSError as error:
            listener.close()
            raise TrainingError(
                f"rank 0 cannot listen ({error.strerror})", where=self._where, fix="free the port, or clear the task"
            ) from error
        listener.listen(socket.SOMAXCONN)
        return listener

    def _family(self) -> socket.AddressFamily:
        """The address family of rank 0's own name; a pod starts before the cluster's name service knows it."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return socket.getaddrinfo(self.contract.master_addr, None)[0][0]
            except socket.gaierror as error:
                if time.monotonic() > deadline:
                    raise TrainingError(
                        f"rank 0's name {self.contract.master_addr} is not known after {self._timeout:g} s ({error})",
                        where=self._where,
                        fix="see whether the ranks' headless Service and the cluster's DNS are there, then clear train",
                    ) from error
                time.sleep(_RETRY_SECONDS)

    def _connect(self, job: str) -> _Peer:
        """Another rank: find rank 0, which may start later."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            try:
                connection = socket.create_connection((self.contract.master_addr, self.contract.master_port), timeout=5)
            except OSError:
                time.sleep(_RETRY_SECONDS)
                continue
            with suppress(OSError):
                if introduce(connection, self.contract.secret, job, self.contract.rank):
                    connection.settimeout(None)
                    return _Peer(connection, self._timeout)
            connection.close()
            time.sleep(_RETRY_SECONDS)
        raise self._missing([0])

    def _send_to(self, rank: int, message: Mapping[str, Any]) -> None:
        try:
            self._peers[rank].send(message)
        except OSError:
            raise self.lost_rank(1.0) or self._error(rank, {"lost": True}) from None

    def _receive(self, rank: int) -> Any:
        try:
            message = self._peers[rank].received.get(timeout=self._timeout)
        except queue.Empty:
            raise TrainingError(
                f"rank {rank} did not answer within {self._timeout:g} s",
                where=f"rank {rank}",
                fix="read that rank's log; it may be out of memory or reading slowly",
            ) from None
        if "value" not in message:
            raise self._error(rank, message)
        return message["value"]

    def _error(self, rank: int, message: Mapping[str, Any]) -> TrainingError:
        where, fix = f"rank {rank}", "read that rank's log, then clear train"
        if "error" in message:
            return TrainingError(f"rank {rank} failed: {message['error']}", where=where, fix=fix)
        return LostRankError(f"rank {rank} died", where=where, fix=fix)

    def _missing(self, ranks: list[int]) -> TrainingError:
        named = ", ".join(str(rank) for rank in ranks)
        return TrainingError(
            f"rank {named} of {self.contract.world_size} did not come within {self._timeout:g} s",
            where=self._where,
            how_many=len(ranks),
            fix="see why those ranks did not start (their log, free memory, pods pending), then clear the task",
        )
