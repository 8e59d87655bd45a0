"""Rendezvous of the ranks of a training: names missing ranks and detects lost ones. Standard library only.

XGBoost's tracker cannot say which rank is missing, and binds its port without ``SO_REUSEADDR``, so that a retry within
a minute fails. Ranks therefore connect on ``MASTER_ADDR:MASTER_PORT``, exchange small JSON values, and keep the
connection open to detect lost ranks. The job's secret authenticates them
(:mod:`nightjar.training.distributed.handshake`).
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
from nightjar.training.distributed.handshake import Reception, authenticate, read_object

SECRET = "NIGHTJAR_RENDEZVOUS_SECRET"  # noqa: S105 (its name)
"""Environment variable: the shared secret of a job's ranks, created by their launcher."""
MAX_MESSAGE = 64 << 20
"""Size limit of a message, in bytes; the largest are profiles of wide tables."""
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class LaunchContract:
    """A rank's environment, as its launcher sets it.

    The launcher is torchrun, an Indexed Job or :class:`nightjar.training.distributed.launch.LocalRanks`.
    """

    rank: int
    world_size: int
    master_addr: str
    master_port: int
    local_rank: int = 0
    secret: str = field(default="", repr=False)

    @property
    def ranks_here(self) -> int:
        """Number of ranks on this machine, as far as the contract shows."""
        return self.world_size if self.master_addr in ("127.0.0.1", "localhost") else 1

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> LaunchContract:
        """Read ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``, ``MASTER_PORT`` and, where it is set, ``LOCAL_RANK``.

        More than one rank requires :data:`SECRET` too.

        Raises:
            ConfigurationError: naming the variable that is missing or invalid.
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
                f"the launch contract is incomplete ({error})",
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
    """A connection to another rank: sends JSON lines, queues received JSON values and the loss of the connection."""

    def __init__(self, connection: socket.socket, timeout_seconds: float) -> None:
        # a timeout for sending only: a peer may compute for hours without sending, but reads immediately
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
    """The connections of one rank to the others. Rank 0 is connected to every rank, the others to rank 0.

    Args:
        contract: This rank's launch contract.
        job: The spec's fingerprint; ranks of another job are rejected.
        timeout_seconds: How long to wait for a rank, at the rendezvous and at every exchange.

    Raises:
        TrainingError: naming the missing ranks.
    """

    def __init__(self, contract: LaunchContract, job: str, *, timeout_seconds: float) -> None:
        self.contract = contract
        self._timeout = timeout_seconds
        self._where = f"{contract.master_addr}:{contract.master_port}"
        self._peers: dict[int, _Peer] = self._gather(job) if contract.rank == 0 else {0: self._connect(job)}
        for peer in self._peers.values():
            peer.start()

    def exchange(self, value: Any) -> list[Any]:
        """Send ``value`` (JSON) and return every rank's value, by rank. All ranks call it, in the same order.

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
        """Send the error of this rank to the others that are still connected."""
        self._send_error(self._peers, error)

    def lost_rank(self, timeout_seconds: float = 0.0) -> TrainingError | None:
        """Return the error of a rank that failed or died meanwhile; None when there is none within the timeout."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            for rank, peer in self._peers.items():
                if not peer.received.empty():
                    message = peer.received.get()
                    peer.received.put(message)  # the next caller must receive it too
                    return self._error(rank, message)
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)

    def close(self) -> None:
        """Close the connections."""
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
        reason = error.what if isinstance(error, NightjarError) else f"{type(error).__name__}: {error}"
        for peer in peers.values():
            with suppress(OSError):
                peer.send({"error": reason[:2000]})

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
        """Return the address family of rank 0's name; a pod starts before the cluster's DNS knows its name."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return socket.getaddrinfo(self.contract.master_addr, None)[0][0]
            except socket.gaierror as error:
                if time.monotonic() > deadline:
                    raise TrainingError(
                        f"rank 0's name {self.contract.master_addr} cannot be resolved after {self._timeout:g} s "
                        f"({error})",
                        where=self._where,
                        fix="check the ranks' headless Service and the cluster's DNS, then clear train",
                    ) from error
                time.sleep(_RETRY_SECONDS)

    def _connect(self, job: str) -> _Peer:
        """Other ranks: connect to rank 0, which may start later."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            try:
                connection = socket.create_connection((self.contract.master_addr, self.contract.master_port), timeout=5)
            except OSError:
                time.sleep(_RETRY_SECONDS)
                continue
            with suppress(OSError):
                if authenticate(connection, self.contract.secret, job, self.contract.rank):
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
        listed = ", ".join(str(rank) for rank in ranks)
        return TrainingError(
            f"rank {listed} of {self.contract.world_size} did not connect within {self._timeout:g} s",
            where=self._where,
            how_many=len(ranks),
            fix="find out why these ranks did not start (log, free memory, pending pods), then clear the task",
        )
